package backup

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// ReadLog reads a log object from Space.Objects: the records of transactions up to and with ref.Last. Their Data may be
// kept. Nothing of a group is given out before its checksum was found right. Errors: ErrDamaged, ErrNewer, those of the
// bucket.
func ReadLog(ctx context.Context, bucket objstore.Bucket, ref LogRef) iter.Seq2[LogRecord, error] {
	return func(yield func(LogRecord, error) bool) {
		stopped := false
		err := readLog(ctx, bucket, &ref, func(r LogRecord) bool {
			if r.TXID > ref.Last {
				return true
			}
			stopped = !yield(r, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(LogRecord{}, fmt.Errorf("log object %s: %w", ref.Key, err))
		}
	}
}

func readLog(ctx context.Context, bucket objstore.Bucket, ref *LogRef, fn func(LogRecord) bool) (err error) {
	body, info, err := bucket.Get(ctx, ref.Key, 0, -1)
	if errors.Is(err, objstore.ErrNotFound) {
		return damaged("it is missing: %w", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if info.Size != ref.Size {
		return damaged("it has %d bytes instead of %d", info.Size, ref.Size)
	}
	sum := crc32.New(castagnoli)
	l := &logReader{r: bufio.NewReaderSize(io.TeeReader(body, sum), 64<<10), left: ref.Size}
	if err := l.begin(); err != nil {
		return err
	}
	if string(l.header) != string(ref.Header) {
		return damaged("it is another object: its header isn't the one in the manifest")
	}
	for l.left > logFooterBytes {
		group, err := l.group()
		if err != nil {
			return err
		}
		for r, err := range group {
			if err != nil {
				return err
			}
			if !fn(r) {
				return nil
			}
		}
	}
	if err := l.end(); err != nil {
		return err
	}
	switch {
	case l.first != ref.First || l.last < ref.Last:
		return damaged("it has transactions %d to %d instead of %d to %d", l.first, l.last, ref.First, ref.Last)
	case sum.Sum32() != ref.CRC:
		return damaged("checksum mismatch: %08x instead of %08x", sum.Sum32(), ref.CRC)
	}
	return nil
}

// logReader reads the parts of a log object in order.
type logReader struct {
	r      io.Reader
	left   int64 // bytes of the object
	header []byte

	database    page.ID
	lineage     uint64
	groups      uint32
	records     uint64
	first, last page.TXID // first record's, and of the last that ends a transaction
	position    uint64    // of that
}

func (l *logReader) read(n int64) ([]byte, error) {
	if n > l.left {
		return nil, damaged("it ends within a part")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(l.r, b); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, objstore.ErrUnavailable) {
			return nil, fmt.Errorf("%w: the object ended before its size", objstore.ErrUnavailable)
		}
		return nil, err
	}
	l.left -= n
	return b, nil
}

func (l *logReader) begin() error {
	if l.left < logHeaderBytes+logFooterBytes {
		return damaged("it has %d bytes", l.left)
	}
	h, err := l.read(logHeaderBytes)
	if err != nil {
		return err
	}
	if string(h[:8]) != logMagic {
		return damaged("it is no log object")
	}
	if v := binary.LittleEndian.Uint32(h[8:]); v > logVersion {
		return fmt.Errorf("%w (log object version %d)", ErrNewer, v)
	} else if v == 0 {
		return damaged("log object version 0")
	}
	if checksum(h[:60]) != binary.LittleEndian.Uint32(h[60:]) {
		return damaged("checksum mismatch in its header")
	}
	l.header = h
	copy(l.database[:], h[16:])
	l.lineage = binary.LittleEndian.Uint64(h[32:])
	return nil
}

func (l *logReader) group() (iter.Seq2[LogRecord, error], error) {
	h, err := l.read(logGroupBytes)
	if err != nil {
		return nil, err
	}
	n, count := int64(binary.LittleEndian.Uint32(h)), binary.LittleEndian.Uint32(h[4:])
	if n == 0 || n > maxGroup || n > l.left-logFooterBytes || count == 0 {
		return nil, damaged("impossible length of group %d", l.groups)
	}
	body, err := l.read(n)
	if err != nil {
		return nil, err
	}
	if groupSum(l.header, l.groups, h, body) != binary.LittleEndian.Uint32(h[8:]) {
		return nil, damaged("checksum mismatch in group %d", l.groups)
	}
	l.groups++
	return func(yield func(LogRecord, error) bool) {
		var r LogRecord
		for range count {
			if err := l.frame(&body, &r); err != nil || !yield(r, nil) {
				if err != nil {
					yield(LogRecord{}, err)
				}
				return
			}
		}
		if len(body) > 0 {
			yield(LogRecord{}, damaged("group %d has bytes after its records", l.groups-1))
		}
	}, nil
}

func (l *logReader) frame(body *[]byte, r *LogRecord) error {
	bad := false
	uvarint := func() uint64 {
		v, n := binary.Uvarint(*body)
		if n <= 0 {
			bad, *body = true, nil
			return 0
		}
		*body = (*body)[n:]
		return v
	}
	n, position, txid, epoch := uvarint(), uvarint(), uvarint(), uvarint()
	if bad || len(*body) < 1 || (*body)[0]&^flagLast != 0 || n > uint64(len(*body)-1) || position == 0 ||
		r.Position+position < position || uint64(r.TXID)+txid < txid || r.Epoch+epoch < epoch {
		return damaged("impossible record in group %d", l.groups-1)
	}
	r.Position, r.TXID, r.Epoch = r.Position+position, r.TXID+page.TXID(txid), r.Epoch+epoch
	r.Last = (*body)[0]&flagLast != 0
	r.Data, *body = (*body)[1:1+n:1+n], (*body)[1+n:]
	if l.records == 0 {
		l.first = r.TXID
	}
	l.records++
	if r.Last {
		l.last, l.position = r.TXID, r.Position
	}
	return nil
}

func (l *logReader) end() error {
	f, err := l.read(logFooterBytes)
	if err != nil {
		return err
	}
	if string(f[:8]) != logEndMagic || crc32.Update(logSum(l.header), castagnoli, f[:48]) != binary.LittleEndian.Uint32(f[48:]) {
		return damaged("checksum mismatch in its end")
	}
	for i, v := range []uint64{l.records, uint64(l.first), uint64(l.last), l.position, uint64(l.groups)} {
		if binary.LittleEndian.Uint64(f[8+8*i:]) != v {
			return damaged("its end doesn't agree with its records")
		}
	}
	return nil
}
