package seglog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/bop-platform/bop/modules/raft"
)

// A composite snapshot is a manifest and the images that it lists, one behind the other.
const (
	snapshotMagic   = "BOPSEGSN"
	snapshotVersion = 1
	maxManifest     = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrSnapshot: a snapshot's bytes aren't those of one.
var ErrSnapshot = errors.New("seglog: damaged snapshot")

// part is an image in a snapshot.
type part struct {
	segment SegmentID
	at      raft.Position // it has the segment's entries up to there
	size    int64
}

// encodeManifest returns the bytes before the images: magic, version, length, the parts, CRC32C.
func encodeManifest(at raft.Position, parts []part) []byte {
	var body []byte
	put := func(v ...uint64) {
		for _, x := range v {
			body = binary.AppendUvarint(body, x)
		}
	}
	put(at.Index, at.Term, uint64(len(parts)))
	for _, p := range parts {
		put(uint64(p.segment), p.at.Index, p.at.Term, uint64(p.size))
	}
	b := append([]byte(snapshotMagic), 0, 0, 0, 0, 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[8:], snapshotVersion)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(body)))
	b = append(b, body...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeManifest reads what encodeManifest has written.
func decodeManifest(r io.Reader) (at raft.Position, parts []part, err error) {
	head := make([]byte, 16)
	if _, err := io.ReadFull(r, head); err != nil {
		return at, nil, fmt.Errorf("%w: its head: %w", ErrSnapshot, err)
	}
	n := binary.LittleEndian.Uint32(head[12:])
	switch {
	case string(head[:8]) != snapshotMagic:
		return at, nil, fmt.Errorf("%w: it doesn't begin as one", ErrSnapshot)
	case binary.LittleEndian.Uint32(head[8:]) != snapshotVersion:
		return at, nil, fmt.Errorf("%w: snapshot of version %d", ErrNewer, binary.LittleEndian.Uint32(head[8:]))
	case n > maxManifest:
		return at, nil, fmt.Errorf("%w: a manifest of %d bytes", ErrSnapshot, n)
	}
	var all bytes.Buffer
	all.Write(head)
	if _, err := io.CopyN(&all, r, int64(n)+4); err != nil {
		return at, nil, fmt.Errorf("%w: its manifest: %w", ErrSnapshot, err)
	}
	b := all.Bytes()
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(body):]) {
		return at, nil, fmt.Errorf("%w: checksum of its manifest", ErrSnapshot)
	}
	d := &decoder{b: body[16:]}
	at = d.position()
	count := d.uvarint()
	for range count {
		p := part{segment: SegmentID(d.uvarint()), at: d.position(), size: int64(d.uvarint())}
		if d.err != nil || p.size < 0 {
			return at, nil, fmt.Errorf("%w: its manifest", ErrSnapshot)
		}
		parts = append(parts, p)
	}
	if d.err != nil || len(d.b) > 0 {
		return at, nil, fmt.Errorf("%w: its manifest", ErrSnapshot)
	}
	return at, parts, nil
}

// Snapshot implements raft.StateMachine.
func (s *Segments) Snapshot(ctx context.Context) (raft.Position, io.ReadSeekCloser, error) {
	s.mu.Lock()
	at := s.applied
	list := make([]*segment, 0, len(s.list))
	for _, x := range s.list {
		if x.fsm != nil {
			list = append(list, x)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b *segment) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	c := &composite{}
	var parts []part
	for _, x := range list {
		img, err := x.fsm.Snapshot(ctx)
		if err != nil {
			return at, nil, errors.Join(fmt.Errorf("seglog: snapshot of segment %d: %w", x.id, err), c.Close())
		}
		c.add(img, img.Size())
		c.close = append(c.close, img)
		parts = append(parts, part{x.id, at, img.Size()})
	}
	m := encodeManifest(at, parts)
	c.pieces = slices.Insert(c.pieces, 0, piece{bytes.NewReader(m), int64(len(m))})
	c.size += int64(len(m))
	return at, c, nil
}

// Restore implements raft.StateMachine. A crash in the middle leaves some segments further than others, each with a state
// that was committed: entries that such a segment has already are passed over, and the snapshot comes again.
func (s *Segments) Restore(ctx context.Context, at raft.Position, body io.Reader) error {
	_, parts, err := decodeManifest(body)
	if err != nil {
		return err
	}
	keep := make([]SegmentID, 0, len(parts))
	for _, p := range parts {
		keep = append(keep, p.segment)
		if err := s.restore(ctx, p, body); err != nil {
			return fmt.Errorf("seglog: restoring segment %d: %w", p.segment, err)
		}
	}
	s.mu.Lock()
	var gone []SegmentID
	for id := range s.list {
		if !slices.Contains(keep, id) {
			gone = append(gone, id)
		}
	}
	s.mu.Unlock()
	for _, id := range gone {
		if err := s.Forget(id); err != nil {
			return fmt.Errorf("seglog: removing segment %d, which the snapshot doesn't have: %w", id, err)
		}
	}
	if err := s.app.Restored(keep, at); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied, s.moved = at, at
	return s.failure
}

func (s *Segments) restore(ctx context.Context, p part, body io.Reader) error {
	x, err := s.bound(ctx, p.segment)
	if err != nil {
		return err
	}
	img := &io.LimitedReader{R: body, N: p.size}
	if x != nil && p.at.Index > x.has {
		if err := x.fsm.Restore(ctx, p.at, img); err != nil {
			return err
		}
		x.has, x.last = p.at.Index, max(x.last, p.at.Index)
		_, next := x.l.Bounds()
		if err := x.l.TruncateBefore(next); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, img); err != nil {
		return err
	}
	if img.N > 0 {
		return fmt.Errorf("%w: it ends too early", ErrSnapshot)
	}
	return nil
}

// composite reads pieces as one.
type composite struct {
	pieces []piece
	close  []io.Closer
	size   int64
	at     int64
}

type piece struct {
	io.ReadSeeker
	size int64
}

func (c *composite) add(r io.ReadSeeker, size int64) {
	c.pieces = append(c.pieces, piece{r, size})
	c.size += size
}

// Seek implements io.Seeker.
func (c *composite) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.size
	default:
		return c.at, fmt.Errorf("seglog: seeking in a snapshot from %d, which is none of io's places", whence)
	}
	if offset < 0 {
		return c.at, errors.New("seglog: seeking before a snapshot's beginning")
	}
	c.at = offset
	return offset, nil
}

// Read implements io.Reader.
func (c *composite) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	at := c.at
	for _, p := range c.pieces {
		if at >= p.size {
			at -= p.size
			continue
		}
		if _, err := p.Seek(at, io.SeekStart); err != nil {
			return 0, err
		}
		n, err := p.Read(b[:min(int64(len(b)), p.size-at)])
		c.at += int64(n)
		if n > 0 {
			return n, nil
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: an image is shorter than it said", ErrSnapshot)
		}
		return 0, err
	}
	return 0, io.EOF
}

// Close lets go of the images.
func (c *composite) Close() (err error) {
	for _, x := range c.close {
		err = errors.Join(err, x.Close())
	}
	return err
}
