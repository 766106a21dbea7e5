package aof

import (
	"bytes"
	"io"
)

// walker goes from batch to batch through a segment.
type walker struct {
	s       *segment
	src     io.ReaderAt // nil: the segment's file
	off     int64       // of the next batch
	sum     uint32      // checksum of the batch before it
	chained bool        // sum is known
	expect  Position    // of the next record
	stop    int64       // where reading ends, 0: at the file's end
	ahead   int         // how much to read at once, 0: readAhead

	buf   []byte // what was read ahead
	start int64  // offset of buf in the file
}

// readAhead is how much a walker reads at once.
const readAhead = 256 << 10

// next returns the batch at w.off with its payload, or nil if there is no valid one there. The payload is valid until
// the next call.
func (w *walker) next() (h *batchHeader, off int64, payload []byte, err error) {
	b, err := w.bytes(w.off, batchBytes)
	if err != nil || len(b) < batchBytes {
		return nil, 0, nil, err
	}
	head, ok := decodeBatchHeader(b, w.s.header.salt)
	if !ok || head.size() > w.end()-w.off || w.chained && head.prev != w.sum || head.first < w.expect {
		return nil, 0, nil, nil
	}
	if w.chained && head.first != w.expect {
		return nil, 0, nil, nil
	}
	if b, err = w.bytes(w.off, batchBytes+head.payload); err != nil {
		return nil, 0, nil, err
	}
	if !head.verify(b) {
		return nil, 0, nil, nil
	}
	off = w.off
	w.off += head.size()
	w.sum, w.chained = head.sum, true
	w.expect = head.first + Position(head.count)
	return &head, off, b[batchBytes : batchBytes+head.payload], nil
}

// pass goes over the batches that end before p by their headers, which have a checksum of their own, and leaves their
// payloads unread. It stops where next has to decide.
func (w *walker) pass(p Position) error {
	for {
		b, err := w.bytes(w.off, batchBytes)
		if err != nil || len(b) < batchBytes {
			return err
		}
		h, ok := decodeBatchHeader(b, w.s.header.salt)
		behind := h.first + Position(h.count)
		if !ok || h.size() > w.end()-w.off || behind > p || h.first != w.expect {
			return nil
		}
		w.off += h.size()
		w.chained, w.expect = false, behind // the payload's checksum isn't known to be good
	}
}

// resync looks behind a bad place for the next good batch and stands before it. It reports whether there is one.
func (w *walker) resync() bool {
	for off := aligned(w.off + 1); off+batchBytes <= w.end(); {
		b, err := w.bytes(off, readAhead)
		if err != nil || len(b) < batchBytes {
			return false
		}
		i := bytes.Index(b, batchMagic[:])
		if i < 0 {
			off = aligned(off + int64(len(b)) - 3)
			continue
		}
		at := off + int64(i)
		// The header alone first: a record may be full of what looks like the beginning of a batch.
		if _, ok := decodeBatchHeader(b[i:], w.s.header.salt); at%align == 0 && (ok || len(b)-i < batchBytes) {
			try := walker{s: w.s, src: w.src, off: at, expect: w.expect, stop: w.stop}
			if h, _, _, err := try.next(); err == nil && h != nil {
				w.off, w.chained, w.expect = at, false, h.first
				return true
			}
		}
		off = aligned(at + 1)
	}
	return false
}

func (w *walker) end() int64 {
	if w.stop != 0 {
		return w.stop
	}
	return w.s.bytes
}

// bytes returns up to n bytes at off, fewer at the end.
func (w *walker) bytes(off int64, n int) ([]byte, error) {
	if off >= w.start && off+int64(n) <= w.start+int64(len(w.buf)) {
		return w.buf[off-w.start:][:n], nil
	}
	n = int(min(int64(n), w.end()-off))
	if n <= 0 {
		return nil, nil
	}
	if off >= w.start && off+int64(n) <= w.start+int64(len(w.buf)) {
		return w.buf[off-w.start:][:n], nil
	}
	ahead := w.ahead
	if ahead == 0 {
		ahead = readAhead
	}
	size := int(min(int64(max(n, ahead)), w.end()-off))
	// What is there already isn't read again: a batch longer than what is read ahead would be read twice.
	kept := 0
	if end := w.start + int64(len(w.buf)); off >= w.start && off < end {
		kept = int(end - off)
	}
	held := w.buf[len(w.buf)-kept:]
	if cap(w.buf) < size {
		w.buf = make([]byte, size)
	}
	w.buf, w.start = w.buf[:size], off
	copy(w.buf, held)
	src := w.src
	if src == nil {
		src = w.s.file
	}
	if err := readFull(src, w.buf[kept:], off+int64(kept)); err != nil {
		w.buf = w.buf[:0]
		return nil, err
	}
	return w.buf[:n], nil
}
