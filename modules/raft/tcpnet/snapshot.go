package tcpnet

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/bop-platform/bop/modules/raft"
)

const chunkSize = frameTarget

// result says what became of a snapshot.
type result byte

const (
	installed result = iota
	failed           // for the reason that follows; there is no use in trying again
	busy             // too many snapshots at present
	changed          // the body's hash isn't the sender's
)

// SendSnapshot sends a snapshot and returns when the receiver has installed it. A connection that breaks is made again,
// and the body goes on where it was cut off, as long as there is progress: see Options.SnapshotAttempts. After an error
// another call with the same snapshot goes on too. The body's prefix that the receiver has is read, but not sent.
//
// Errors: a *RemoteError with the text of what the receiver's ReceiveSnapshot returned, the context's, ErrClosed,
// ErrUnknownPeer, ErrBusy, and what dialling or reading the body ended with.
func (t *Transport) SendSnapshot(ctx context.Context, to raft.NodeID, m raft.Message, content io.ReadSeeker) (err error) {
	t.mu.RLock()
	closed := t.closed || t.handler == nil
	if !closed {
		t.wg.Add(1)
	}
	t.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	defer t.wg.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.ctx, func() { cancel(ErrClosed) })()

	meta := m.GetSnapshot().GetMetadata()
	b := body{m.Group, raft.Position{Index: meta.GetIndex(), Term: meta.GetTerm()}}
	if b.group == 0 || b.at.Index == 0 {
		return fmt.Errorf("tcpnet: message of type %v for group %d has no snapshot", m.GetType(), m.Group)
	}
	size, err := content.Seek(0, io.SeekEnd)
	if err != nil {
		return &bodyError{err}
	}
	x := t.sending.begin(Transfer{Peer: to, Group: b.group, Index: b.at.Index, Total: size})
	defer func() { x.end(err == nil) }()
	backoff, failures, furthest := t.o.MinBackoff, 0, int64(0)
	for {
		from, err := t.trySnapshot(ctx, to, m, content, x)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if failures++; from > furthest { // the attempt before brought something
			backoff, failures, furthest = t.o.MinBackoff, 1, from
		}
		err = fmt.Errorf("tcpnet: snapshot of group %d at %d to host %d: %w", b.group, b.at.Index, to, err)
		if ctx.Err() != nil || final(err) || failures >= t.o.SnapshotAttempts {
			return err
		}
		t.o.Logger.Info("raft: sending a snapshot goes on after an error", "peer", uint64(to), "group", uint64(b.group), "error", err)
		if sleep(ctx, jittered(backoff)) != nil {
			return fmt.Errorf("tcpnet: snapshot of group %d at %d to host %d: %w", b.group, b.at.Index, to, context.Cause(ctx))
		}
		backoff = min(2*backoff, t.o.MaxBackoff)
	}
}

// bodyError is an error of the body, not of the connection.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "reading the snapshot: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// final tells whether trying again is of no use.
func final(err error) bool {
	var remote *RemoteError
	var unread *bodyError
	return errors.As(err, &remote) || errors.As(err, &unread) || errors.Is(err, ErrUnknownPeer)
}

// trySnapshot sends a snapshot on one connection. It returns how much of it the receiver had.
func (t *Transport) trySnapshot(ctx context.Context, to raft.NodeID, m raft.Message, content io.ReadSeeker, x *transfer) (from int64, err error) {
	size := x.fixed.Total
	t.mu.RLock()
	p, address := t.peers[to], ""
	if p != nil {
		address = p.address
	}
	t.mu.RUnlock()
	if address == "" {
		return 0, ErrUnknownPeer
	}
	l, err := t.dial(ctx, to, address, Snapshots)
	if err != nil {
		return 0, err
	}
	defer l.close()
	defer context.AfterFunc(ctx, l.close)()
	t.counters.connects[Snapshots].Add(1)
	stop := make(chan struct{})
	defer close(stop)
	t.wg.Go(func() { l.keepAlive(t.o.PingEvery, stop) })

	begin, err := appendMessage(binary.LittleEndian.AppendUint64(nil, uint64(size)), m)
	if err != nil {
		return 0, &bodyError{err}
	}
	if len(begin) > t.o.MaxMessageBytes {
		return 0, &bodyError{fmt.Errorf("its message has %d bytes, at most %d can be sent", len(begin), t.o.MaxMessageBytes)}
	}
	if err := l.write(appendFrame(nil, kindBegin, begin)); err != nil {
		return 0, err
	}
	k, answer, err := l.next()
	switch {
	case err != nil:
		return 0, err
	case k == kindResult:
		return 0, outcome(to, answer)
	case k != kindHave || len(answer) != 8+sha256.Size:
		return 0, fmt.Errorf("%w: frame of kind %d after the beginning of a snapshot", ErrProtocol, k)
	}
	from, sum, err := position(content, int64(binary.LittleEndian.Uint64(answer)), size, [sha256.Size]byte(answer[8:]))
	if err != nil {
		return 0, &bodyError{err}
	}
	// The answer may come, and end the sending, before the body does.
	answered := make(chan reply, 1)
	t.wg.Go(func() {
		k, p, err := l.next()
		answered <- reply{k, p, err}
	})
	if err := l.write(appendFrame(nil, kindFrom, binary.LittleEndian.AppendUint64(nil, uint64(from)))); err != nil {
		return from, err
	}
	x.from(from)
	err = t.sendBody(ctx, l, content, size-from, sum, x, answered)
	var unread *bodyError
	if errors.As(err, &unread) {
		return from, err
	}
	if err != nil {
		// The receiver may have said why it wants no more before the connection broke.
		l.close()
	}
	switch r := <-answered; {
	case r.err == nil && r.kind == kindResult:
		return from, outcome(to, r.payload)
	case err != nil:
		return from, err
	case r.err != nil:
		return from, r.err
	default:
		return from, fmt.Errorf("%w: frame of kind %d after a snapshot", ErrProtocol, r.kind)
	}
}

// reply is a frame that may come.
type reply struct {
	kind    kind
	payload []byte
	err     error
}

// position finds where to go on, and leaves content there: where the receiver is if it has the same bytes, or at 0.
func position(content io.ReadSeeker, have, size int64, want [sha256.Size]byte) (int64, hash.Hash, error) {
	sum := sha256.New()
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return 0, nil, err
	}
	if have <= 0 || have > size {
		return 0, sum, nil
	}
	if _, err := io.CopyN(sum, content, have); err != nil {
		return 0, nil, err
	}
	if [sha256.Size]byte(sum.Sum(nil)) == want {
		return have, sum, nil
	}
	sum.Reset()
	_, err := content.Seek(0, io.SeekStart)
	return 0, sum, err
}

// sendBody sends n bytes in chunks and then their hash, unless it is answered before.
func (t *Transport) sendBody(ctx context.Context, l *link, content io.Reader, n int64, sum hash.Hash, x *transfer, answered chan reply) error {
	buf := make([]byte, frameHeader+chunkSize)
	for n > 0 && len(answered) == 0 {
		chunk := buf[:frameHeader+min(chunkSize, n)]
		if _, err := io.ReadFull(content, chunk[frameHeader:]); err != nil {
			return &bodyError{err}
		}
		sum.Write(chunk[frameHeader:])
		if err := t.limiter.wait(ctx, len(chunk)); err != nil {
			return err
		}
		sealFrame(chunk, 0, kindChunk)
		if err := l.write(chunk); err != nil {
			return err
		}
		n -= int64(len(chunk) - frameHeader)
		x.moved(len(chunk) - frameHeader)
	}
	if n > 0 {
		return nil
	}
	return l.write(appendFrame(nil, kindEnd, sum.Sum(nil)))
}

// outcome turns the receiver's answer into an error.
func outcome(to raft.NodeID, p []byte) error {
	if len(p) == 0 {
		return fmt.Errorf("%w: empty result of a snapshot", ErrProtocol)
	}
	switch result(p[0]) {
	case installed:
		return nil
	case failed:
		return &RemoteError{Node: to, Text: string(p[1:])}
	case busy:
		return ErrBusy
	case changed:
		return ErrChanged
	}
	return fmt.Errorf("%w: result %d of a snapshot", ErrProtocol, p[0])
}

// answer tells the sender what became of its snapshot.
func (l *link) answer(r result, text string) error {
	const longest = 4 << 10
	err := l.write(appendFrame(nil, kindResult, []byte{byte(r)}, []byte(text[:min(len(text), longest)])))
	if err == nil && r != installed {
		l.drain()
	}
	return err
}

// drain reads on for a moment, so that the answer isn't thrown away with the bytes that nobody has read.
func (l *link) drain() {
	for read := 0; read < 64<<20; {
		_, p, err := l.frame.next()
		if err != nil {
			return
		}
		read += len(p)
	}
}

// receiveSnapshot takes one snapshot.
func (t *Transport) receiveSnapshot(l *link, from raft.NodeID) error {
	stop := make(chan struct{})
	defer close(stop)
	t.wg.Go(func() { l.keepAlive(t.o.PingEvery, stop) })
	p, err := l.expect(kindBegin, -1)
	if err != nil {
		return err
	}
	if len(p) < 8 {
		return fmt.Errorf("%w: a snapshot that begins with %d bytes", ErrProtocol, len(p))
	}
	size := binary.LittleEndian.Uint64(p)
	list, err := decodeMessages(p[8:])
	if err != nil {
		return err
	}
	if len(list) != 1 || list[0].GetSnapshot().GetMetadata().GetIndex() == 0 || size > 1<<62 {
		return fmt.Errorf("%w: a snapshot without its message", ErrProtocol)
	}
	m := list[0]
	meta := m.GetSnapshot().GetMetadata()
	b := body{m.Group, raft.Position{Index: meta.GetIndex(), Term: meta.GetTerm()}}
	if limit := t.o.MaxSnapshotBytes; limit > 0 && size > uint64(limit) {
		return l.answer(failed, fmt.Sprintf("it has %d bytes, at most %d are taken", size, limit))
	}
	r, earlier := t.spool.claim(b, l)
	if earlier != nil {
		return t.report(l, earlier.err)
	}
	defer t.spool.release(b, r)
	select {
	case t.receiving <- struct{}{}:
		defer func() { <-t.receiving }()
	default:
		return l.answer(busy, "")
	}
	x := t.taking.begin(Transfer{Peer: from, Incoming: true, Group: b.group, Index: b.at.Index, Total: int64(size)})
	defer func() { x.end(r.installed && r.err == nil) }()
	part, err := t.receiveBody(l, b, x)
	if err != nil || part == nil {
		return err
	}
	defer part.f.Close()
	t.spool.installs(r)
	started := time.Now()
	r.err = t.handler.ReceiveSnapshot(t.ctx, from, m, io.Reader(part.f))
	if t.ctx.Err() != nil {
		return nil // the body is there for the next time
	}
	r.installed = true
	if err := t.spool.remove(b); err != nil {
		t.o.Logger.Warn("raft: removing a snapshot's file", "group", uint64(b.group), "error", err)
	}
	t.o.Logger.Info("raft: snapshot received", "peer", uint64(from), "group", uint64(b.group), "index", b.at.Index, "bytes", size,
		"installing", time.Since(started), "error", r.err)
	return t.report(l, r.err)
}

// report answers with what came of an installation. The sender may be gone by then; it will ask again.
func (t *Transport) report(l *link, err error) error {
	if err != nil {
		return l.answer(failed, err.Error())
	}
	return l.answer(installed, "")
}

// receiveBody fills the body's file. It returns nil if the sender was told that it can't be.
func (t *Transport) receiveBody(l *link, b body, x *transfer) (_ *partial, err error) {
	size := x.fixed.Total
	if err := t.spool.sweep(b); err != nil {
		t.o.Logger.Warn("raft: clearing the folder for snapshots", "error", err)
	}
	part, err := t.spool.open(b)
	if err != nil {
		return nil, l.answer(failed, err.Error())
	}
	complete := false
	defer func() {
		if !complete {
			part.f.Close()
		}
	}()
	have := binary.LittleEndian.AppendUint64(nil, uint64(part.size))
	if err := l.write(appendFrame(nil, kindHave, have, part.sum.Sum(nil))); err != nil {
		return nil, err
	}
	p, err := l.expect(kindFrom, 8)
	if err != nil {
		return nil, err
	}
	switch from := int64(binary.LittleEndian.Uint64(p)); {
	case from != 0 && from != part.size:
		return nil, fmt.Errorf("%w: a snapshot goes on at %d, not at %d", ErrProtocol, from, part.size)
	case from == 0:
		if err := part.restart(); err != nil {
			return nil, l.answer(failed, err.Error())
		}
	}
	x.from(part.size)
	for {
		k, p, err := l.next()
		switch {
		case err != nil:
			return nil, err
		case k == kindChunk && int64(len(p)) <= size-part.size:
			x.moved(len(p))
			if _, err := part.Write(p); err != nil {
				return nil, l.answer(failed, err.Error())
			}
		case k != kindEnd || len(p) != sha256.Size:
			return nil, fmt.Errorf("%w: frame of kind %d with %d bytes within a snapshot", ErrProtocol, k, len(p))
		case part.size != size || [sha256.Size]byte(part.sum.Sum(nil)) != [sha256.Size]byte(p):
			if err := part.restart(); err != nil {
				return nil, l.answer(failed, err.Error())
			}
			return nil, l.answer(changed, "")
		default:
			if _, err := part.f.Seek(0, io.SeekStart); err != nil {
				return nil, l.answer(failed, err.Error())
			}
			complete = true
			return part, nil
		}
	}
}
