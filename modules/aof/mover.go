package aof

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/klauspost/compress/zstd"

	"github.com/bop-platform/bop/modules/aof/fsys"
	"github.com/bop-platform/bop/modules/aof/internal/zframe"
)

const (
	warmSuffix    = ".zst"
	damagedSuffix = ".damaged" // of a catalog that was put aside
	partSuffix    = ".part"    // of a compressed segment that isn't complete yet
)

func warmName(dir string, sequence uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", sequence, warmSuffix))
}

// mover is an actor that moves segments between tiers, one at a time, whenever it is told to look. A failure is logged,
// and it looks again after a while.
type mover struct {
	l     *Log
	name  string
	step  func(ctx context.Context) (more bool, err error)
	end   ending
	delay time.Duration // after the last failure
	wait  func() bool   // stops the timer that makes it look again
	told  atomic.Bool   // a look is on its way
	fault atomic.Pointer[string]
}

// look asks a mover whether there is something to do.
type look struct{}

// Receive handles look.
func (m *mover) Receive(c actor.Context) {
	switch c.Message().(type) {
	case *actor.Stopped:
		if m.wait != nil {
			m.wait()
		}
		m.end.reached()
	case look:
		m.told.Store(false)
		if m.wait != nil {
			m.wait()
			m.wait = nil
		}
		m.turn()
	}
}

// turn works until nothing is left to do.
func (m *mover) turn() {
	for !m.l.stopping.Load() {
		more, err := m.step(m.l.ctx)
		if err != nil {
			m.failed(err)
			return
		}
		m.delay = 0
		m.fault.Store(nil)
		if !more {
			break
		}
	}
	if at := m.l.nextAge(); !at.IsZero() && m.name == "packer" {
		m.again(max(at.Sub(m.l.o.Tiers.Clock.Now()), time.Millisecond))
	}
}

func (m *mover) failed(err error) {
	if m.l.ctx.Err() != nil {
		return
	}
	text := err.Error()
	if old := m.fault.Swap(&text); old == nil || *old != text {
		m.l.o.Logger.Warn("moving segments failed, it will be tried again", "mover", m.name, "err", err)
	}
	m.l.moveFailed(m.name)
	m.delay = min(max(2*m.delay, m.l.o.Tiers.Retry), time.Minute)
	m.again(m.delay)
}

func (m *mover) again(d time.Duration) { m.wait = m.l.o.Tiers.Clock.AfterFunc(d, m.look) }

// look tells the mover to look, once until it does.
func (m *mover) look() {
	if m.l.stopping.Load() || !m.told.CompareAndSwap(false, true) {
		return
	}
	<-m.l.started
	m.l.system.Root.Send(m.l.pid(&m.end), look{})
}

// look tells all movers that segments changed.
func (l *Log) look() {
	if !l.o.Tiers.moves() {
		return
	}
	select {
	case <-l.started:
	default:
		return // startActors makes them look
	}
	for _, m := range l.movers {
		m.look()
	}
}

func (l *Log) pid(e *ending) *actor.PID {
	for _, a := range l.actors {
		if a.end == e {
			return a.pid
		}
	}
	return nil
}

// nextAge is when a policy lets the next segment go for its age.
func (l *Log) nextAge() time.Time {
	l.mu.RLock()
	defer l.mu.RUnlock()
	t := &l.o.Tiers
	a, b := t.Hot.nextAge(l.residents(Hot)), t.Warm.nextAge(l.residents(Warm))
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// pack compresses the next segment that is due, and removes copies that aren't needed.
func (l *Log) pack(ctx context.Context) (more bool, err error) {
	if err := l.evict(); err != nil {
		return false, err
	}
	l.mu.RLock()
	s := l.toPack()
	var from *form
	var foot footer
	if s != nil {
		from = s.forms[Hot]
		from.refs.Add(1)
		foot = footer{header: s.header, next: s.next, count: s.count, end: s.end, sum: s.sum, index: s.index}
	}
	l.mu.RUnlock()
	if s == nil {
		l.weigh()
		return false, l.remember()
	}
	defer from.release()
	known, err := l.open(ctx, s, from)
	if err == nil {
		if known != nil {
			foot.index = known.index
		}
		err = l.packTo(ctx, s, from, &foot)
	}
	if errors.Is(err, ErrDamaged) {
		l.o.Logger.Error("a damaged segment stays where it is", "segment", s.name, "err", err)
		l.mu.Lock()
		s.bad = true
		l.mu.Unlock()
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("compressing %s: %w", s.name, err)
	}
	return true, nil
}

// packTo makes a segment's warm form. It gets its name when it is complete, on disk and has been read back.
func (l *Log) packTo(ctx context.Context, s *segment, from *form, foot *footer) (err error) {
	ctx, done := l.moving(ctx, "pack", s)
	defer done(&err)
	if err := l.check(ctx, s, from, foot); err != nil {
		return err
	}
	name := warmName(l.dir, s.header.sequence)
	part := name + partSuffix
	file, err := l.o.FS.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	named := false
	defer func() {
		if !named {
			err = errors.Join(err, file.Close(), ignoreNotExist(l.o.FS.Remove(part)))
		}
	}()
	sum, err := zframe.Write(&fileWriter{ctx: ctx, f: file}, l.plain(ctx, from), foot.end, zframe.Options{Level: zstd.SpeedDefault, Meta: foot.encode()})
	if err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if _, err := zframe.Verify(ctx, file, sum.File); err != nil {
		return fmt.Errorf("reading back: %w", err)
	}
	if err := l.o.FS.Rename(part, name); err != nil {
		return err
	}
	if err := l.o.FS.SyncDir(l.dir); err != nil {
		return err
	}
	named = true
	f := newForm(Warm, name, sum.File)
	f.file, f.summary, f.foot = file, sum, foot
	l.install(s, f)
	return nil
}

// check reads a segment that is about to leave its file: what is damaged isn't passed on as if it were whole.
func (l *Log) check(ctx context.Context, s *segment, from *form, foot *footer) error {
	w := walker{s: s, src: l.plain(ctx, from), off: dataStart, sum: s.header.prev, chained: true, expect: s.base, stop: foot.end}
	for w.off < foot.end {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := w.off
		h, _, _, err := w.next()
		if err != nil {
			return err
		}
		if h == nil {
			return &DamageError{Damage{File: from.name, Offset: at, Reason: "checksum mismatch"}}
		}
	}
	if w.sum != foot.sum || w.expect != foot.next {
		return &DamageError{Damage{File: from.name, Offset: w.off, Reason: "the last batch isn't the one that the footer names"}}
	}
	return nil
}

// install adds a copy of a segment, unless the segment was truncated away meanwhile.
func (l *Log) install(s *segment, f *form) {
	l.mu.Lock()
	there := false
	for _, other := range l.segments {
		there = there || other == s
	}
	if there {
		s.forms[f.tier], s.fresh = f, true
	}
	l.mu.Unlock()
	if !there {
		if err := l.dropForm(s, f); err != nil {
			l.o.Logger.Warn("removing a copy of a truncated segment failed", "file", f.name, "err", err)
		}
	}
	l.arrive()
	l.look()
}

// evict gives up copies that policies or budgets let go and that exist elsewhere.
func (l *Log) evict() error {
	l.arranging.Lock()
	defer l.arranging.Unlock()
	l.mu.Lock()
	gone := l.toEvict()
	for _, e := range gone {
		e.s.forms[e.f.tier] = nil
		e.s.fresh = true
		if e.f.tier == Hot {
			e.s.file = nil
		}
	}
	l.mu.Unlock()
	if len(gone) == 0 {
		return nil
	}
	// The catalog has to know of the copy that remains before the other one goes.
	err := l.remember()
	for _, e := range gone {
		err = errors.Join(err, l.dropForm(e.s, e.f))
	}
	l.weigh()
	return err
}

// fileWriter writes a file from its beginning.
type fileWriter struct {
	ctx context.Context
	f   fsys.File
	off int64
}

func (w *fileWriter) Write(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.f.WriteAt(b, w.off)
	w.off += int64(n)
	return n, err
}

// isPart tells whether a file is what an interrupted move left.
func isPart(name string) bool { return strings.HasSuffix(name, partSuffix) }

var _ io.Writer = (*fileWriter)(nil)
