package aof

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A stream carries a log's records to another one: docs/formats/aof.md.
const (
	streamVersion    = 1
	streamHeadBytes  = 24
	streamBatchBytes = 28
	streamEnd        = 0 // records in the batch that ends a stream
)

var streamMagic = [8]byte{'B', 'O', 'P', 'A', 'O', 'F', 'S', 'T'}

// ErrGap: what is to be imported doesn't follow the log's end; see GapError.
var ErrGap = errors.New("aof: records are missing before those that are imported")

// GapError tells where a log ends and where a stream begins.
type GapError struct{ Next, First Position }

func (e *GapError) Error() string {
	return fmt.Sprintf("aof: the log ends before %d, the stream goes on at %d: export from %d", e.Next, e.First, e.Next)
}

// Is makes errors.Is(err, ErrGap) hold.
func (e *GapError) Is(target error) bool { return target == ErrGap }

// ErrStream: a stream's bytes aren't those that Export wrote.
var ErrStream = errors.New("aof: damaged stream")

// ErrElsewhere: records were appended to a log while it was importing.
var ErrElsewhere = errors.New("aof: the log has grown by itself while it was importing")

// Export writes the records from position from on to w, from whatever tier they are in, until the one before until; 0:
// until the log's end as it is at that moment. With follow it goes on with what is appended until ctx ends, which is then its
// error. The records go out as they were appended, in the clear whatever the log's Sealer. Import takes them up.
func (l *Log) Export(ctx context.Context, w io.Writer, from, until Position, follow bool) error {
	r, err := l.Reader(from)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, next := l.Bounds(); until == 0 {
		until = next
	}
	out := bufio.NewWriterSize(w, 64<<10)
	head := append(make([]byte, 0, streamHeadBytes), streamMagic[:]...)
	head = binary.LittleEndian.AppendUint32(head, streamVersion)
	head = binary.LittleEndian.AppendUint64(head, uint64(from))
	sum := crc(0, head)
	if _, err := out.Write(binary.LittleEndian.AppendUint32(head, sum)); err != nil {
		return fmt.Errorf("aof: writing a stream: %w", err)
	}
	for follow || r.next < until {
		first, count, payload, err := r.records(ctx, follow, until)
		if errors.Is(err, ErrTail) { // the end is sent before it is waited for
			if err = out.Flush(); err == nil {
				_, err = l.wait(ctx, r.next)
			}
		} else if err == nil {
			sum, err = writeStreamBatch(out, sum, first, count, payload)
		}
		if err != nil {
			return errors.Join(err, out.Flush())
		}
	}
	if _, err := writeStreamBatch(out, sum, r.next, streamEnd, nil); err != nil {
		return err
	}
	return out.Flush()
}

// wait returns when the record at p is there.
func (l *Log) wait(ctx context.Context, p Position) (Position, error) {
	for {
		moved := l.movement()
		if _, next := l.Bounds(); next > p {
			return next, nil
		}
		if moved == nil {
			return 0, ErrClosed
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// records returns what the reader's next batch holds from its position on, before until.
func (r *Reader) records(ctx context.Context, follow bool, until Position) (first Position, count int, payload []byte, err error) {
	rec, err := r.try(ctx)
	if err != nil {
		return 0, 0, nil, err
	}
	first, count = rec.Position, 1
	payload = appendRecord(nil, rec.Data)
	for len(r.payload) > 0 && r.cuts == r.l.cutCount.Load() && (follow || r.next < until) {
		rec, ok, err := r.cut()
		if err != nil || !ok {
			break // the next call finds it
		}
		payload = appendRecord(payload, rec.Data)
		count++
	}
	return first, count, payload, nil
}

func writeStreamBatch(w io.Writer, prev uint32, first Position, count int, payload []byte) (uint32, error) {
	head := make([]byte, 0, streamBatchBytes)
	head = binary.LittleEndian.AppendUint64(head, uint64(first))
	head = binary.LittleEndian.AppendUint32(head, uint32(count))
	head = binary.LittleEndian.AppendUint32(head, uint32(len(payload)))
	head = binary.LittleEndian.AppendUint32(head, prev)
	headSum := crc(0, head)
	head = binary.LittleEndian.AppendUint32(head, headSum)
	sum := crc(headSum, payload)
	head = binary.LittleEndian.AppendUint32(head, sum)
	_, err := w.Write(head)
	if err == nil {
		_, err = w.Write(payload)
	}
	if err != nil {
		return 0, fmt.Errorf("aof: writing a stream: %w", err)
	}
	return sum, nil
}

// Import appends the records of a stream that Export wrote, at the same positions. Those that the log has already are
// passed over, so that after a break an export from the log's end (Bounds), or from before it, goes on where it broke.
// Into a log that has never had a record the stream may begin anywhere. Nobody else may append meanwhile. It returns the
// position after the last record, which is on disk, also when it fails: ErrGap, ErrStream, io.ErrUnexpectedEOF when the
// stream breaks off.
func (l *Log) Import(ctx context.Context, r io.Reader) (next Position, err error) {
	in := streamReader{r: bufio.NewReaderSize(r, 64<<10), limit: l.o.MaxRecordBytes + l.o.MaxBatchBytes}
	from, err := in.head()
	if err != nil {
		return l.tailNext(), err
	}
	if err := l.startAt(from); err != nil {
		return l.tailNext(), err
	}
	for {
		first, recs, err := in.batch()
		if err != nil || recs == nil {
			return l.imported(ctx, err)
		}
		if err := ctx.Err(); err != nil {
			return l.imported(ctx, err)
		}
		at := l.queue.position()
		if first > at {
			return l.imported(ctx, &GapError{at, first})
		}
		if known := int(min(Position(len(recs)), at-first)); known > 0 {
			recs = recs[known:]
		}
		if len(recs) == 0 {
			continue
		}
		got, err := l.AppendBatch(ctx, recs, OS)
		if err == nil && got != at {
			err = fmt.Errorf("%w: at %d", ErrElsewhere, at)
		}
		if err != nil {
			return l.imported(ctx, err)
		}
	}
}

// imported ends an import: what came is made durable.
func (l *Log) imported(ctx context.Context, err error) (Position, error) {
	err = errors.Join(err, l.Sync(context.WithoutCancel(ctx)))
	return l.tailNext(), err
}

// startAt makes a log that has never had a record begin at p.
func (l *Log) startAt(p Position) error {
	if p == 0 {
		return fmt.Errorf("%w: positions begin at 1", ErrStream)
	}
	if first, next := l.Bounds(); p <= next || first != 1 || next != 1 {
		return nil // Import finds a gap
	}
	return l.execute(func() error {
		l.arranging.Lock()
		defer l.arranging.Unlock()
		tail := l.tail()
		if tail.next != 1 || tail.header.sequence != 1 {
			return nil
		}
		s, err := l.create(segmentHeader{sequence: tail.header.sequence + 1, base: p}, 0)
		if err != nil {
			return refusedIfFull(err)
		}
		l.mu.Lock()
		l.segments = []*segment{s}
		l.visible, l.head = p, p
		l.wakeReaders()
		l.mu.Unlock()
		l.committer.begun()
		l.committer.durable.Store(uint64(p - 1))
		return l.drop(tail)
	})
}

// position is the one that the next record gets.
func (q *queue) position() Position {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.next
}

// streamReader decodes a stream.
type streamReader struct {
	r     io.Reader
	limit int // of a batch's bytes
	sum   uint32
	buf   []byte
	recs  [][]byte
}

func (s *streamReader) head() (Position, error) {
	var b [streamHeadBytes]byte
	if _, err := io.ReadFull(s.r, b[:]); err != nil {
		return 0, fmt.Errorf("aof: reading a stream: %w", brokenOff(err))
	}
	s.sum = crc(0, b[:streamHeadBytes-4])
	if [8]byte(b[:8]) != streamMagic || s.sum != binary.LittleEndian.Uint32(b[streamHeadBytes-4:]) {
		return 0, fmt.Errorf("%w: it doesn't begin as one", ErrStream)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != streamVersion {
		return 0, &NewerFormatError{"the stream", int(v), streamVersion}
	}
	return Position(binary.LittleEndian.Uint64(b[12:])), nil
}

// batch returns the next records, valid until the next call; nil at the stream's end.
func (s *streamReader) batch() (first Position, recs [][]byte, err error) {
	var b [streamBatchBytes]byte
	if _, err := io.ReadFull(s.r, b[:]); err != nil {
		return 0, nil, fmt.Errorf("aof: reading a stream: %w", brokenOff(err))
	}
	first = Position(binary.LittleEndian.Uint64(b[:]))
	count, size := int(binary.LittleEndian.Uint32(b[8:])), int(binary.LittleEndian.Uint32(b[12:]))
	sum := crc(0, b[:20])
	if sum != binary.LittleEndian.Uint32(b[20:]) || binary.LittleEndian.Uint32(b[16:]) != s.sum {
		return 0, nil, fmt.Errorf("%w: at position %d", ErrStream, first)
	}
	if count > size || first == 0 {
		return 0, nil, fmt.Errorf("%w: %d records in %d bytes at position %d", ErrStream, count, size, first)
	}
	if size > s.limit {
		return 0, nil, fmt.Errorf("%w: %d bytes at position %d, the limit is %d", ErrTooLarge, size, first, s.limit)
	}
	if cap(s.buf) < size {
		s.buf = make([]byte, size)
	}
	s.buf = s.buf[:size]
	if _, err := io.ReadFull(s.r, s.buf); err != nil {
		return 0, nil, fmt.Errorf("aof: reading a stream: %w", brokenOff(err))
	}
	if s.sum = crc(sum, s.buf); s.sum != binary.LittleEndian.Uint32(b[24:]) {
		return 0, nil, fmt.Errorf("%w: at position %d", ErrStream, first)
	}
	if count == streamEnd {
		return first, nil, nil
	}
	s.recs = s.recs[:0]
	rest := s.buf
	for range count {
		rec, more, ok := nextRecord(rest)
		if !ok {
			return 0, nil, fmt.Errorf("%w: fewer records than told at position %d", ErrStream, first)
		}
		s.recs, rest = append(s.recs, rec), more
	}
	return first, s.recs, nil
}

func brokenOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
