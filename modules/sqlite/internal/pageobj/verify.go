package pageobj

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/superfly/ltx"
)

// Verify checks that an object and its index are in the bucket as they were written: by what the bucket says of them, or
// by reading them where it says no checksum. deep reads both from end to end, and checks the LTX file, each page against
// the index, and each copy in a pack against its page. Errors: ErrGone, ErrDamaged, ErrNewer, those of the bucket.
func Verify(ctx context.Context, bucket objstore.Bucket, keys *crypt.Keyring, ref Ref, deep bool) error {
	if err := ref.check(); err != nil {
		return err
	}
	if deep {
		return verifyDeep(ctx, bucket, keys, &ref)
	}
	if err := objstore.Verify(ctx, bucket, ref.Key, ref.Size, ref.CRC); err != nil {
		return request(ref.Key, err)
	}
	if err := objstore.Verify(ctx, bucket, ref.Index.Key, ref.Index.Size, ref.Index.CRC); err != nil {
		return request(ref.Index.Key, err)
	}
	return nil
}

func verifyDeep(ctx context.Context, bucket objstore.Bucket, keys *crypt.Keyring, ref *Ref) error {
	v := open(ViewOptions{Bucket: bucket, Keys: func() *crypt.Keyring { return keys }, Refs: []Ref{*ref}, ReadAhead: -1})
	defer v.Close()
	o := v.objects[0]
	if err := verifyIndex(ctx, v, o); err != nil {
		return err
	}
	return o.data.stream(ctx, ref.CRC, func(r io.Reader) error {
		return verifyData(ctx, v, o, r)
	})
}

// stream reads the whole object once, gives its plaintext to fn, which has to read to the end, and checks its CRC.
func (b *blob) stream(ctx context.Context, crc uint32, fn func(io.Reader) error) error {
	sealed, err := b.object()
	if err != nil {
		return err
	}
	b.metrics.request(b.size)
	body, info, err := b.bucket.Get(ctx, b.key, 0, -1)
	if err != nil {
		return request(b.key, err)
	}
	defer body.Close()
	if info.Size != b.size {
		return &DamageError{Key: b.key, Reason: fmt.Sprintf("the object has %d bytes instead of %d", info.Size, b.size)}
	}
	t := &summed{r: body}
	r := io.Reader(t)
	if sealed != nil {
		header := make([]byte, crypt.ObjectHeaderBytes)
		if _, err := io.ReadFull(t, header); err != nil {
			return fmt.Errorf("reading %s: %w", b.key, unavailable(err))
		}
		if string(header) != string(b.header) {
			return &DamageError{Key: b.key, Reason: "the header isn't the one that the reference has"}
		}
		r = sealed.Reader(t)
	}
	if err := fn(bufio.NewReaderSize(r, int(min(max(b.size, 4096), 256<<10)))); err != nil {
		if t.err != nil && t.err != io.EOF { // the bucket's fault, not the object's
			return fmt.Errorf("reading %s: %w", b.key, t.err)
		}
		if errors.Is(err, crypt.ErrForged) {
			return sealing(b.key, 0, err)
		}
		return err
	}
	if _, err := io.Copy(io.Discard, t); err != nil {
		return fmt.Errorf("reading %s: %w", b.key, err)
	}
	if t.n != b.size {
		return fmt.Errorf("reading %s: %w: %d of %d bytes came", b.key, objstore.ErrUnavailable, t.n, b.size)
	}
	if t.crc != crc {
		return &DamageError{Key: b.key, Reason: fmt.Sprintf("its CRC is %08x instead of %08x", t.crc, crc)}
	}
	return nil
}

// summed sums what is read, and remembers how reading ended.
type summed struct {
	r   io.Reader
	n   int64
	crc uint32
	err error
}

func (s *summed) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.n += int64(n)
	s.crc = crc32.Update(s.crc, castagnoli, b[:n])
	if err != nil {
		s.err = err
	}
	return n, err
}

// verifyIndex checks everything in an index, and that blocks and packs agree.
func verifyIndex(ctx context.Context, v *View, o *object) error {
	i := &o.ref.Index
	err := o.index.stream(ctx, i.CRC, func(r io.Reader) error {
		b := make([]byte, indexHeaderBytes)
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("reading %s: %w", i.Key, err)
		}
		if err := checkIndexHeader(b); err != nil {
			return &DamageError{Key: i.Key, Reason: "it isn't an index", Err: err}
		}
		n, err := io.Copy(io.Discard, r)
		if err != nil {
			return fmt.Errorf("reading %s: %w", i.Key, err)
		}
		if n += indexHeaderBytes; n != i.RootOff+i.RootLen {
			return &DamageError{Key: i.Key, Offset: n, Reason: "it doesn't end behind its root"}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r, err := v.root(ctx, o)
	if err != nil {
		return err
	}
	// Parts lie side by side: no byte of the index is outside of them.
	next := int64(indexHeaderBytes)
	order := make([]packDesc, 0, len(r.packs))
	for _, d := range r.blocks {
		if d.off != next {
			return &DamageError{Key: i.Key, Offset: next, Reason: "no part of the index is here"}
		}
		next += int64(d.length)
	}
	if len(r.packs) > 0 {
		order = append(append(order, r.packs[1:]...), r.packs[0])
	}
	for _, d := range order {
		if d.off != next {
			return &DamageError{Key: i.Key, Offset: next, Reason: "no part of the index is here"}
		}
		next += int64(d.length)
	}
	if next != i.RootOff {
		return &DamageError{Key: i.Key, Offset: next, Reason: "no part of the index is here"}
	}
	return verifyPacks(ctx, v, o, r)
}

// verifyPacks checks that the pages in packs are those that the entry blocks say are, each with the sum of its page.
func verifyPacks(ctx context.Context, v *View, o *object, r *root) error {
	c := &cursor{v: v, object: o, root: r}
	data := make([]byte, v.state.Size)
	pi, at := 0, 0
	var pk *pack
	for {
		e, ok, err := c.entry(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		c.advance()
		if !e.packed {
			continue
		}
		if pk == nil || at == len(pk.nos) {
			if pi == len(r.packs) {
				return &DamageError{Key: o.index.key, Page: e.no, Reason: "there is no pack that has its copy"}
			}
			p, err := v.part(ctx, partKey{kindPack, o.place, uint32(pi)})
			if err != nil {
				return err
			}
			pk, at = p.(*pack), 0
			pi++
		}
		if pk.nos[at] != e.no || pk.sums[at] != e.sum {
			return &DamageError{Key: o.index.key, Offset: pk.desc.off, Page: e.no, Reason: fmt.Sprintf("the pack has page %d with sum %016x in its place", pk.nos[at], pk.sums[at])}
		}
		if err := pk.page(at, data); err != nil {
			return &DamageError{Key: o.index.key, Offset: pk.desc.off, Page: e.no, Reason: "its copy in a pack isn't what was written", Err: err}
		}
		at++
	}
	if pi != len(r.packs) || pk != nil && at != len(pk.nos) {
		return &DamageError{Key: o.index.key, Reason: "a pack has pages that no entry block says are there"}
	}
	return nil
}

// verifyData checks an LTX file from its first byte to its last.
func verifyData(ctx context.Context, v *View, o *object, in io.Reader) error {
	r, err := v.root(ctx, o)
	if err != nil {
		return err
	}
	d := &ltxReader{in: in, key: o.data.key}
	b := make([]byte, frameBound(v.state.Size))
	if err := d.read(b[:ltx.HeaderSize]); err != nil {
		return err
	}
	var h ltx.Header
	if err := h.UnmarshalBinary(b); err != nil {
		return d.damage(0, "it is no LTX file", err)
	}
	if err := h.Validate(); err != nil {
		return d.damage(0, "its header can't be", err)
	}
	ref := o.ref
	if h.PageSize != ref.State.Size || h.Commit != ref.State.Pages || page.TXID(h.MinTXID) != ref.Min || page.TXID(h.MaxTXID) != ref.Max || !h.NoChecksum() {
		return d.damage(0, "its header belongs to another object", nil)
	}
	c := &cursor{v: v, object: o, root: r}
	data := make([]byte, v.state.Size)
	for {
		e, ok, err := c.entry(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		c.advance()
		if e.off != d.off {
			return &DamageError{Key: o.index.key, Page: e.no, Reason: fmt.Sprintf("its frame is said to be at %d, and the one before ends at %d", e.off, d.off)}
		}
		frame := b[:e.size]
		if err := d.raw(frame); err != nil {
			return err
		}
		if err := decodeFrame(frame, e.no, e.sum, data); err != nil {
			return d.damage(e.no, "it isn't what was written", err)
		}
		d.sum = crc64.Update(d.sum, iso, frame[:frameHeaderBytes])
		d.sum = crc64.Update(d.sum, iso, data)
	}
	return d.end(ctx, v, o, r)
}

// ltxReader reads an LTX file and sums what its checksum is of.
type ltxReader struct {
	in  io.Reader
	key string
	off int64
	sum uint64
}

func (d *ltxReader) damage(no uint32, reason string, err error) error {
	return &DamageError{Key: d.key, Offset: d.off, Page: no, Reason: reason, Err: err}
}

// raw reads what the checksum is not of as it is.
func (d *ltxReader) raw(b []byte) error {
	n, err := io.ReadFull(d.in, b)
	d.off += int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return d.damage(0, "it ends too early", nil)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", d.key, err)
	}
	return nil
}

func (d *ltxReader) read(b []byte) error {
	err := d.raw(b)
	d.sum = crc64.Update(d.sum, iso, b)
	return err
}

// end checks what comes behind the frames against what the entry blocks make of it.
func (d *ltxReader) end(ctx context.Context, v *View, o *object, r *root) error {
	var mark [ltx.PageHeaderSize]byte
	if err := d.read(mark[:]); err != nil {
		return err
	}
	if mark != ([ltx.PageHeaderSize]byte{}) {
		return d.damage(0, "the pages go on where they should end", nil)
	}
	begin := d.off
	c := &cursor{v: v, object: o, root: r}
	want, got := make([]byte, 0, 3*binary.MaxVarintLen64), make([]byte, 3*binary.MaxVarintLen64)
	for more := true; more; c.advance() {
		e, ok, err := c.entry(ctx)
		if err != nil {
			return err
		}
		if want = want[:0]; ok {
			want = binary.AppendUvarint(want, uint64(e.no))
			want = binary.AppendUvarint(want, uint64(e.off))
			want = binary.AppendUvarint(want, uint64(e.size))
		} else {
			want, more = append(want, 0), false
		}
		if err := d.read(got[:len(want)]); err != nil {
			return err
		}
		if string(got[:len(want)]) != string(want) {
			return d.damage(e.no, "LTX's own index says something else", nil)
		}
	}
	length := uint64(d.off - begin)
	tail := make([]byte, 8+ltx.TrailerChecksumOffset)
	if err := d.read(tail); err != nil {
		return err
	}
	if binary.BigEndian.Uint64(tail) != length || !page.Zero(tail[8:]) {
		return d.damage(0, "its trailer can't be", nil)
	}
	sum := d.sum | uint64(ltx.ChecksumFlag)
	last := make([]byte, ltx.ChecksumSize)
	if err := d.raw(last); err != nil {
		return err
	}
	if s := binary.BigEndian.Uint64(last); s != sum {
		return d.damage(0, fmt.Sprintf("its checksum is %016x instead of %016x", sum, s), nil)
	}
	if d.off != r.data {
		return d.damage(0, fmt.Sprintf("it has %d bytes and should have %d", d.off, r.data), nil)
	}
	if n, err := io.Copy(io.Discard, d.in); err != nil || n > 0 {
		return errors.Join(err, d.damage(0, "it goes on behind its end", nil))
	}
	return nil
}
