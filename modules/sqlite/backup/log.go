package backup

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"slices"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/record"
)

// A log object has the records of some transactions as they are in the log, in groups with a checksum each. What it says
// of them in the clear, records say themselves even if they are sealed. docs/formats/bucket.md has the bytes.
const (
	logMagic    = "BOPSQLOG"
	logEndMagic = "BOPLOGND"
	logVersion  = 1

	logHeaderBytes = 64
	logGroupBytes  = 12 // before a group's body
	logFooterBytes = 52

	groupTarget = 256 << 10 // where a group ends
	maxRecord   = 16 << 20  // parts have little more than record.PartBytes
	maxGroup    = groupTarget + maxRecord + 64

	flagLast = 1 << 0

	// uploadAbove is the size from which on a log object is sent in parts.
	uploadAbove = 64 << 20
)

// ErrOrder: records that were to become a log object don't follow each other.
var ErrOrder = errors.New("the records don't follow each other")

// LogRecord is a record of the log: a transaction, or a part of one.
type LogRecord struct {
	TXID     page.TXID
	Position uint64 // in the cluster's log
	Epoch    uint64
	Time     int64 // microseconds since 1970; an encrypted database keeps it secret, so ReadLog doesn't have it
	Last     bool  // it ends its transaction
	Data     []byte
}

// logSum begins the checksum of a part of a log object, which is bound to the object.
func logSum(header []byte) uint32 { return crc32.Update(0, castagnoli, header) }

func groupSum(header []byte, number uint32, head, body []byte) uint32 {
	sum := crc32.Update(logSum(header), castagnoli, binary.LittleEndian.AppendUint32(nil, number))
	sum = crc32.Update(sum, castagnoli, head[:8])
	return crc32.Update(sum, castagnoli, body)
}

// logWriter builds a log object.
type logWriter struct {
	w        *spool
	database page.ID
	ref      LogRef

	group   []byte // body under construction
	inGroup uint32
	groups  uint32
	prev    LogRecord // in the group
	last    uint64    // position of the record before
	open    record.Place
	pending bool // open is a part that its transaction goes on after
}

func newLogWriter(w *spool, database page.ID) *logWriter { return &logWriter{w: w, database: database} }

func (l *logWriter) begin(lineage uint64) error {
	h := make([]byte, logHeaderBytes)
	copy(h, logMagic)
	binary.LittleEndian.PutUint32(h[8:], logVersion)
	copy(h[16:], l.database[:])
	binary.LittleEndian.PutUint64(h[32:], lineage)
	rand.Read(h[40:56]) // never fails
	binary.LittleEndian.PutUint32(h[60:], checksum(h[:60]))
	l.ref.Header, l.ref.Lineage = h, lineage
	_, err := l.w.Write(h)
	return err
}

// add takes the next record, after it has checked that it is one and that it follows.
func (l *logWriter) add(r LogRecord) error {
	p, err := record.PlaceOf(r.Data)
	if err != nil {
		return fmt.Errorf("log position %d: %w", r.Position, err)
	}
	wrong := func(format string, a ...any) error {
		return fmt.Errorf("%w: log position %d, transaction %d: %s", ErrOrder, r.Position, p.TXID, fmt.Sprintf(format, a...))
	}
	switch {
	case p.Database != l.database:
		return wrong("it belongs to database %s", p.Database)
	case p.TXID != r.TXID || p.Last != r.Last || p.Epoch != r.Epoch:
		return wrong("the record says transaction %d, epoch %d, last part %v", p.TXID, p.Epoch, p.Last)
	case r.Position <= l.last:
		return wrong("the record before is at %d", l.last)
	case len(r.Data) > maxRecord:
		return wrong("it has %d bytes", len(r.Data))
	}
	if l.ref.Header == nil {
		if p.Part != 1 {
			return wrong("a log object can't begin with part %d", p.Part)
		}
		if err := l.begin(p.Lineage); err != nil {
			return err
		}
		l.ref.First, l.ref.Last, l.ref.FirstTime = p.TXID, p.TXID-1, r.Time
	} else {
		switch o := l.open; {
		case p.Lineage != l.ref.Lineage:
			return wrong("it is of lineage %016x, and those before of %016x", p.Lineage, l.ref.Lineage)
		case p.TXID != l.ref.Last+1:
			return wrong("transaction %d is to follow", l.ref.Last+1)
		case p.Epoch < o.Epoch:
			return wrong("epoch %d comes after epoch %d", p.Epoch, o.Epoch)
		case p.Part != 1 && (!l.pending || p.Part != o.Part+1 || p.Epoch != o.Epoch):
			return wrong("part %d doesn't follow", p.Part)
		}
	}
	if i, found := slices.BinarySearch(l.ref.DataKeys, p.Key); !found {
		l.ref.DataKeys = slices.Insert(l.ref.DataKeys, i, p.Key)
	}
	l.open, l.pending, l.last = p, !p.Last, r.Position
	if p.Last {
		l.ref.Last, l.ref.Position, l.ref.Epoch, l.ref.LastTime = p.TXID, r.Position, p.Epoch, r.Time
	}
	l.ref.Records++
	return l.frame(r)
}

func (l *logWriter) frame(r LogRecord) error {
	var flags byte
	if r.Last {
		flags |= flagLast
	}
	b := binary.AppendUvarint(l.group, uint64(len(r.Data)))
	b = binary.AppendUvarint(b, r.Position-l.prev.Position)
	b = binary.AppendUvarint(b, uint64(r.TXID-l.prev.TXID))
	b = binary.AppendUvarint(b, r.Epoch-l.prev.Epoch)
	l.group = append(append(b, flags), r.Data...)
	l.inGroup++
	l.prev = LogRecord{TXID: r.TXID, Position: r.Position, Epoch: r.Epoch}
	if len(l.group) >= groupTarget {
		return l.endGroup()
	}
	return nil
}

func (l *logWriter) endGroup() error {
	if l.inGroup == 0 {
		return nil
	}
	h := binary.LittleEndian.AppendUint32(nil, uint32(len(l.group)))
	h = binary.LittleEndian.AppendUint32(h, l.inGroup)
	h = binary.LittleEndian.AppendUint32(h, groupSum(l.ref.Header, l.groups, h, l.group))
	if _, err := l.w.Write(h); err != nil {
		return err
	}
	if _, err := l.w.Write(l.group); err != nil {
		return err
	}
	l.groups++
	l.group, l.inGroup, l.prev = l.group[:0], 0, LogRecord{}
	return nil
}

// finish ends the object; its checksum and size are in the reference then.
func (l *logWriter) finish() error {
	switch {
	case l.ref.Header == nil:
		return fmt.Errorf("%w: there are none", ErrOrder)
	case l.pending:
		return fmt.Errorf("%w: transaction %d has no last part", ErrOrder, l.open.TXID)
	}
	if err := l.endGroup(); err != nil {
		return err
	}
	f := []byte(logEndMagic)
	for _, v := range []uint64{uint64(l.ref.Records), uint64(l.ref.First), uint64(l.ref.Last), l.ref.Position, uint64(l.groups)} {
		f = binary.LittleEndian.AppendUint64(f, v)
	}
	f = binary.LittleEndian.AppendUint32(f, crc32.Update(logSum(l.ref.Header), castagnoli, f))
	if _, err := l.w.Write(f); err != nil {
		return err
	}
	if err := l.w.flush(); err != nil {
		return err
	}
	l.ref.Size, l.ref.CRC = l.w.size, l.w.sum
	return nil
}

// PutLog puts records into one log object, which the manifest doesn't name yet: LogRef goes to Manifest.AddLog. They are
// those that were applied, in the order of the log, all parts of each transaction; parts that a later leadership has
// discarded may be among them. Errors: ErrOrder, the error in records, ErrFenced and ErrTakenOver if the writer was
// stopped before, and those of the bucket.
func (w *Writer) PutLog(ctx context.Context, records iter.Seq2[LogRecord, error]) (LogRef, error) {
	if err := w.Stopped(); err != nil {
		return LogRef{}, err
	}
	s := w.s
	out := &spool{dir: s.o.TempDir}
	defer out.close()
	l := newLogWriter(out, s.o.Database)
	for r, err := range records {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = l.add(r)
		}
		if err != nil {
			return LogRef{}, fmt.Errorf("making a log object: %w", err)
		}
	}
	if err := l.finish(); err != nil {
		return LogRef{}, fmt.Errorf("making a log object: %w", err)
	}
	ref := l.ref
	ref.Key = fmt.Sprintf("%slog/%016x-%016x-%x-%s.log", s.folder(), uint64(ref.First), uint64(ref.Last), w.epoch, randomName())
	w.begins(ref.Key)
	o := objstore.PutOptions{IfAbsent: true, CRC32C: &ref.CRC}
	var info objstore.Info
	var err error
	if ref.Size <= uploadAbove {
		info, err = s.objects.Put(ctx, ref.Key, out, ref.Size, o)
	} else {
		info, err = objstore.Upload(ctx, s.objects, ref.Key, io.NewSectionReader(out, 0, ref.Size), o)
	}
	if err == nil && (info.Size != ref.Size || info.CRC32C != nil && *info.CRC32C != ref.CRC) {
		err = fmt.Errorf("%w: %d bytes were sent, and what has arrived differs", objstore.ErrChecksum, ref.Size)
	}
	if err != nil {
		return LogRef{}, fmt.Errorf("putting log object %s: %w", ref.Key, err)
	}
	return ref, nil
}
