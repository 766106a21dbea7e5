package aof

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"syscall"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/bop-platform/bop/modules/aof/internal/zframe"
)

// Hydrate brings the segments with records from first to last back to this disk, compressed, where they stay until the
// policy for warm segments or a budget lets them go. Segments that are here already cost nothing. Who asks for what is
// being hydrated waits for that. Errors: those of the bucket; a full disk, after which nothing is left behind; *BackpressureError
// when the local budget has no room.
func (l *Log) Hydrate(ctx context.Context, first, last Position) error {
	if err := l.queue.check(); err != nil {
		return err
	}
	l.mu.RLock()
	var cold []*segment
	for _, s := range l.segments {
		if s.base <= last && first < s.until() && !s.local() {
			cold = append(cold, s)
		}
	}
	l.mu.RUnlock()
	for _, s := range cold {
		if err := l.hydrated(ctx, s); err != nil {
			return fmt.Errorf("aof: hydrating segment %d: %w", s.header.sequence, err)
		}
	}
	return nil
}

// hydrated waits for the hydrator to bring a segment.
func (l *Log) hydrated(ctx context.Context, s *segment) error {
	h := hydrate{s: s, ctx: ctx, done: make(chan error, 1)}
	<-l.started
	l.system.Root.Send(l.pid(&l.hydrator.end), h)
	select {
	case err := <-h.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.hydrator.end.gone:
		return ErrClosed
	}
}

// hydrator is the actor that fetches whole segments, one after another.
type hydrator struct {
	l   *Log
	end ending
}

type hydrate struct {
	s    *segment
	ctx  context.Context
	done chan error
}

// Receive handles hydrate.
func (h *hydrator) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Stopped:
		h.end.reached()
	case hydrate:
		finished := false
		defer func() {
			if !finished {
				m.done <- errors.New("the hydrator panicked")
			}
		}()
		err := h.fetch(m.ctx, m.s)
		finished = true
		m.done <- err
	}
}

// fetch brings one segment, unless it is here.
func (h *hydrator) fetch(ctx context.Context, s *segment) (err error) {
	l := h.l
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	l.mu.RLock()
	from := s.forms[Cold]
	here := s.local()
	room := true
	if from != nil && !here {
		from.refs.Add(1)
		room = !l.tooMuch(l.localBytes() + from.bytes)
	}
	l.mu.RUnlock()
	switch {
	case here:
		return nil
	case from == nil:
		return ErrTruncated
	}
	defer from.release()
	if !room {
		return &BackpressureError{Hydration}
	}
	l.hydrating.Add(from.bytes)
	l.weigh()
	defer func() {
		l.hydrating.Add(-from.bytes)
		l.weigh()
	}()
	ctx, done := l.moving(ctx, "hydrate", s)
	defer done(&err)
	f, err := l.download(ctx, s, from)
	if err != nil {
		return err
	}
	l.mu.Lock()
	s.closed = l.o.Tiers.Clock.Now()
	l.mu.Unlock()
	l.install(s, f)
	return nil
}

// download copies an object to a file and checks all of it before the file gets its name.
func (l *Log) download(ctx context.Context, s *segment, from *form) (_ *form, err error) {
	name := warmName(l.dir, s.header.sequence)
	part := name + partSuffix
	file, err := l.o.FS.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	done := false
	defer func() {
		if !done {
			err = errors.Join(err, file.Close(), ignoreNotExist(l.o.FS.Remove(part)))
		}
	}()
	body, _, err := l.bucket().Get(ctx, from.name, 0, from.bytes)
	if err != nil {
		return nil, err
	}
	sum := crc32.New(castagnoli)
	n, err := io.Copy(io.MultiWriter(&fileWriter{ctx: ctx, f: file}, sum), body)
	if err = errors.Join(err, body.Close()); err == nil && n != from.bytes {
		err = fmt.Errorf("%s has %d bytes instead of %d", from.name, n, from.bytes)
	}
	if err == nil {
		err = file.Sync()
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil, fmt.Errorf("no room on the disk for the %d bytes of %s, make some and ask again: %w", from.bytes, from.name, err)
	}
	if err != nil {
		return nil, err
	}
	if _, err := zframe.Verify(ctx, file, from.bytes); err != nil {
		return nil, packedError(from.name, err)
	}
	summary, foot, err := readPacked(file, from.name, from.bytes)
	if err != nil {
		return nil, err
	}
	if foot.header.salt != s.header.salt {
		return nil, &DamageError{Damage{File: from.name, First: s.base, Last: s.next - 1, Reason: "it is another segment than the one with its number"}}
	}
	if err := l.o.FS.Rename(part, name); err != nil {
		return nil, err
	}
	if err := l.o.FS.SyncDir(l.dir); err != nil {
		return nil, err
	}
	done = true
	f := newForm(Warm, name, from.bytes)
	f.file, f.summary, f.foot = file, summary, foot
	return f, nil
}
