package pageobj

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"io"
	"iter"
	"runtime"

	"github.com/superfly/ltx"
)

// encoder writes the LTX file. It does what ltx.Encoder does with the pages, on two cores and without a list of them
// in memory or in the clear.
type encoder struct {
	o     *WriteOptions
	ix    *indexer
	w     io.Writer
	sum   uint64 // CRC64 of header, frames with their pages not compressed, index
	off   int64
	done  int64
	total int64
}

// encode writes the whole file.
func (e *encoder) encode(ctx context.Context, src Source, nos iter.Seq[uint32], w io.Writer) error {
	e.w = w
	h := ltx.Header{Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: e.o.State.Size, Commit: e.o.State.Pages,
		MinTXID: ltx.TXID(e.o.Min), MaxTXID: ltx.TXID(e.o.State.TXID), Timestamp: e.o.timestamp().UnixMilli()}
	if err := h.Validate(); err != nil {
		return fmt.Errorf("as an LTX file: %w", err)
	}
	b, err := h.MarshalBinary()
	if err != nil {
		return err
	}
	if err := e.write(b); err != nil {
		return err
	}
	if err := e.pages(ctx, src, nos); err != nil {
		return err
	}
	if err := e.ix.endPages(); err != nil {
		return err
	}
	return e.end()
}

// pages writes the frames: another goroutine reads and compresses the next ones meanwhile.
func (e *encoder) pages(ctx context.Context, src Source, nos iter.Seq[uint32]) error {
	ctx, cancel := context.WithCancel(ctx)
	free, full, failed := make(chan *batch, batches), make(chan *batch, batches), make(chan error, 1)
	for range batches {
		free <- newBatch(int(e.o.State.Size))
	}
	go func() {
		defer close(full)
		failed <- e.produce(ctx, src, nos, free, full)
	}()
	var err error
	for b := range full {
		if err == nil {
			err = e.batch(ctx, b)
		}
		if err != nil {
			cancel() // and wait: the source must not be read any more when Write returns
			continue
		}
		free <- b
	}
	cancel()
	if perr := <-failed; err == nil {
		err = perr
	}
	return err
}

func (e *encoder) batch(ctx context.Context, b *batch) error {
	if e.o.Limit != nil {
		if err := e.o.Limit(ctx, len(b.frames)); err != nil {
			return err
		}
	}
	size, raw, frames := int(e.o.State.Size), b.raw, b.frames
	for _, t := range b.entries {
		e.sum = crc64.Update(e.sum, iso, frames[:frameHeaderBytes])
		e.sum = crc64.Update(e.sum, iso, raw[:size])
		if err := e.ix.add(t, frames[frameHeaderBytes:t.size]); err != nil {
			return err
		}
		raw, frames = raw[size:], frames[t.size:]
		runtime.Gosched()
	}
	if _, err := e.w.Write(b.frames); err != nil {
		return err
	}
	e.off += int64(len(b.frames))
	e.done += int64(len(b.entries))
	if e.o.Progress != nil {
		e.o.Progress(e.done, max(e.done, e.total))
	}
	return nil
}

// end writes what comes behind the frames: the mark of their end, LTX's own index, the trailer.
func (e *encoder) end() error {
	if err := e.write(make([]byte, ltx.PageHeaderSize)); err != nil {
		return err
	}
	begin := e.off
	buf := make([]byte, 0, 64<<10)
	for k, err := range e.ix.blocks() {
		if err != nil {
			return err
		}
		for i := range k.len() {
			t := k.at(i)
			buf = binary.AppendUvarint(buf, uint64(t.no))
			buf = binary.AppendUvarint(buf, uint64(t.off))
			buf = binary.AppendUvarint(buf, uint64(t.size))
			if len(buf) > cap(buf)-3*binary.MaxVarintLen64 {
				if err := e.write(buf); err != nil {
					return err
				}
				buf = buf[:0]
			}
		}
	}
	buf = append(buf, 0)
	if err := e.write(buf); err != nil {
		return err
	}
	if err := e.write(binary.BigEndian.AppendUint64(nil, uint64(e.off-begin))); err != nil {
		return err
	}
	if err := e.write(make([]byte, ltx.TrailerChecksumOffset)); err != nil { // no checksum of the database
		return err
	}
	sum := e.sum | uint64(ltx.ChecksumFlag)
	e.off += ltx.ChecksumSize
	e.ix.root.data = e.off
	_, err := e.w.Write(binary.BigEndian.AppendUint64(nil, sum))
	return err
}

// write writes what is part of the checksum as it is.
func (e *encoder) write(b []byte) error {
	e.sum = crc64.Update(e.sum, iso, b)
	e.off += int64(len(b))
	_, err := e.w.Write(b)
	return err
}
