package pageobj

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/pierrec/lz4/v4"
	"github.com/superfly/ltx"
)

// WriteOptions say what an object is and where it goes.
type WriteOptions struct {
	Bucket   objstore.Bucket
	Key      string         // of the LTX object
	IndexKey string         // of its index
	Keys     *crypt.Keyring // nil: in the clear
	Lineage  uint64
	Level    int       // LTX level
	Min      page.TXID // the object has the pages that transactions from Min to State.TXID changed. 1: all pages
	State    page.State
	TempDir  string            // for what of the index doesn't fit into memory; it is encrypted. "": the system's
	Metadata map[string]string // of the LTX object, besides Litestream's timestamp

	Progress func(done, total int64)                // in pages; may be nil
	Limit    func(ctx context.Context, n int) error // waits until n bytes more may be sent; may be nil
}

// timestamp is when the object's last transaction was made, to the precision that LTX has.
func (o *WriteOptions) timestamp() time.Time {
	return time.UnixMilli(time.UnixMicro(o.State.Time).UnixMilli()).UTC()
}

func (o *WriteOptions) check() error {
	switch {
	case o.Bucket == nil || o.Key == "" || o.IndexKey == "" || o.Key == o.IndexKey:
		return errors.New("an object needs a bucket and two keys")
	case o.State.Pages == 0:
		return errors.New("the database is empty: there is nothing to put into the bucket")
	case !page.ValidSize(o.State.Size):
		return fmt.Errorf("%d bytes is no size of a page", o.State.Size)
	case o.Min == 0 || o.Min > o.State.TXID:
		return fmt.Errorf("there are no transactions %d to %d", o.Min, o.State.TXID)
	}
	return nil
}

// Write makes an object of pages nos, which ascend, and its index. If nos is nil, or Min is 1, these are all pages. count
// is how many there are, as far as Progress is concerned.
//
// nos has to have each page that isn't as it was in the version before Min; pages that came by growth are among them even
// if they are zeros, else other programs can't restore the database. The lock page is left out whether or not it is there.
//
// Each of the two objects is put only if there is none of that name. One that has the same bytes already counts as
// written: it is an earlier attempt whose answer was lost. Errors: ErrTaken if it has others, those of src, of the bucket and of Limit.
func Write(ctx context.Context, src Source, nos iter.Seq[uint32], count int64, o WriteOptions) (Ref, error) {
	ref, err := write(ctx, src, nos, count, &o)
	if err != nil {
		return Ref{}, fmt.Errorf("writing page object %s: %w", o.Key, err)
	}
	return ref, nil
}

func write(ctx context.Context, src Source, nos iter.Seq[uint32], count int64, o *WriteOptions) (Ref, error) {
	if err := o.check(); err != nil {
		return Ref{}, err
	}
	if nos == nil {
		nos, count = everyPage(o.State.Pages), int64(o.State.Pages)
	}
	ix := newIndexer(o)
	defer ix.close()
	e := &encoder{o: o, ix: ix, total: count}
	metadata := map[string]string{"litestream-timestamp": o.timestamp().Format(time.RFC3339Nano)}
	for k, v := range o.Metadata {
		metadata[k] = v
	}
	data, err := put(ctx, o, o.Key, metadata, func(ctx context.Context, w io.Writer) error {
		return e.encode(ctx, src, nos, w)
	})
	if err != nil {
		return Ref{}, err
	}
	ref := Ref{Key: o.Key, Size: data.size, CRC: data.crc, Header: data.header, Level: o.Level, Min: o.Min, Max: o.State.TXID,
		State: o.State, Pages: ix.root.pages, Lineage: o.Lineage, Index: IndexRef{Key: o.IndexKey}}
	index, err := put(ctx, o, o.IndexKey, nil, func(_ context.Context, w io.Writer) error {
		return ix.writeTo(w, &ref.Index)
	})
	if err != nil {
		return Ref{}, fmt.Errorf("its index %s: %w", o.IndexKey, err)
	}
	ref.Index.Size, ref.Index.CRC, ref.Index.Header = index.size, index.crc, index.header
	return ref, nil
}

func everyPage(n uint32) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for no := uint32(1); no <= n && yield(no); no++ {
			if no == n {
				return // n may be the highest number there is
			}
		}
	}
}

// batch is a few pages on their way from the source into the object.
type batch struct {
	entries []entry
	raw     []byte // the pages
	frames  []byte // and their frames
}

const (
	batchBytes = 256 << 10 // pages in a batch
	batches    = 4         // that are under way at a time
)

// produce reads and compresses pages, a batch at a time. A batch that has been used comes back by free.
func (e *encoder) produce(ctx context.Context, src Source, nos iter.Seq[uint32], free <-chan *batch, out chan<- *batch) error {
	o, size := e.o, int(e.o.State.Size)
	room := max(1, batchBytes/size)
	var c lz4.Compressor
	var b *batch
	send := func() error {
		select {
		case out <- b:
			b = nil
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	buf := make([]byte, size)
	lock, last := ltx.LockPgno(o.State.Size), uint32(0)
	for no := range nos {
		if no <= last || no > o.State.Pages {
			return fmt.Errorf("page %d after page %d of a database of %d pages: the numbers have to ascend", no, last, o.State.Pages)
		}
		if o.Min == 1 && no != last+1 && (no != last+2 || last+1 != lock) {
			return fmt.Errorf("page %d is missing from an object that has to have all", last+1)
		}
		last = no
		if no == lock {
			continue
		}
		if b == nil {
			select {
			case b = <-free:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			b.entries, b.raw, b.frames = b.entries[:0], b.raw[:0], b.frames[:0]
		}
		data, sum, err := src.Page(no, buf)
		if err != nil {
			return fmt.Errorf("reading page %d: %w", no, err)
		}
		if len(data) != size {
			return fmt.Errorf("page %d has %d bytes instead of %d", no, len(data), size)
		}
		at := len(b.raw)
		b.raw = append(b.raw, data...)
		data = b.raw[at:]
		if s := page.Sum(no, data); s != sum {
			return fmt.Errorf("page %d has checksum %016x, and was read as %016x: its source is damaged", no, s, sum)
		}
		begin := len(b.frames)
		if b.frames, err = appendFrame(b.frames, &c, no, data); err != nil {
			return err
		}
		b.entries = append(b.entries, entry{no: no, size: uint32(len(b.frames) - begin), sum: sum, packed: no == 1 || inner(no, data, o.State.Pages)})
		if len(b.entries) == room {
			if err := send(); err != nil {
				return err
			}
		}
		runtime.Gosched() // who commits meanwhile needs little of a core, and at once
	}
	if o.Min == 1 && last != o.State.Pages && (last+1 != o.State.Pages || o.State.Pages != lock) {
		return fmt.Errorf("page %d is missing from an object that has to have all", last+1)
	}
	if b != nil {
		return send()
	}
	return nil
}

func newBatch(size int) *batch {
	n := max(1, batchBytes/size)
	return &batch{make([]entry, 0, n), make([]byte, 0, n*size), make([]byte, 0, n*frameBound(uint32(size)))}
}
