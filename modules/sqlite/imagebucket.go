package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
)

// bucketImage is an image without the pages that the bucket has: a manifest, and the pages that have changed since. A server
// that is new takes its state from the bucket and only the tail from its peer.
type bucketImage struct {
	whole *image
	ctx   context.Context
	head  []byte // up to and with the manifest
	nos   []uint32
	at    int64
	i     int // of the page in buf, -1: none
	buf   []byte
}

// smallImage is sent whole: fetching it page by page would take longer.
const smallImage = 8 << 20

// imageByBucket returns nil if there is no use in it.
func (db *DB) imageByBucket(whole *image) (Image, error) {
	c, st := db.cold, whole.sn.State
	if c == nil || int64(st.Pages)*int64(st.Size) < smallImage && whole.sn.Tree().Bucket().Sequence == 0 {
		return nil, nil
	}
	m := c.known()
	if m == nil {
		return nil, nil
	}
	last, size := reached(m)
	if last == 0 || size != st.Size || last > st.TXID {
		return nil, nil
	}
	nos, known := db.current().Changed(&whole.sn, last)
	if !known {
		return nil, nil
	}
	text, err := c.in(db.ident()).Encode(context.Background(), m)
	if err != nil {
		return nil, err
	}
	b := bytes.Clone(whole.head)
	le := binary.LittleEndian
	le.PutUint32(b[8:], imageByBucket)
	le.PutUint32(b[88:], uint32(len(nos)))
	le.PutUint32(b[92:], crc32.Checksum(b[:92], castagnoli))
	b = append(le.AppendUint32(b, uint32(len(text))), text...)
	return &bucketImage{whole: whole, ctx: context.Background(), head: b, nos: nos, i: -1, buf: make([]byte, 4+st.Size)}, nil
}

// Size implements Image.
func (b *bucketImage) Size() int64 { return int64(len(b.head)) + int64(len(b.nos))*int64(len(b.buf)) }

// Seek implements io.Seeker.
func (b *bucketImage) Seek(offset int64, whence int) (int64, error) {
	return seek(&b.at, b.Size(), offset, whence)
}

// Read implements io.Reader.
func (b *bucketImage) Read(p []byte) (int, error) {
	if b.at < int64(len(b.head)) {
		n := copy(p, b.head[b.at:])
		b.at += int64(n)
		return n, nil
	}
	if b.at >= b.Size() {
		return 0, io.EOF
	}
	off := b.at - int64(len(b.head))
	stride := int64(len(b.buf))
	if i := int(off / stride); i != b.i {
		b.i = -1
		no := b.nos[i]
		data, _, err := b.whole.sn.Page(b.ctx, no, b.buf[4:])
		if err != nil {
			return 0, fmt.Errorf("page %d: %w", no, err)
		}
		binary.LittleEndian.PutUint32(b.buf, no)
		copy(b.buf[4:], data)
		b.i = i
	}
	n := copy(p, b.buf[off%stride:])
	b.at += int64(n)
	return n, nil
}

// Close implements io.Closer.
func (b *bucketImage) Close() error { return b.whole.Close() }

// receiveByBucket writes a page file of which the bucket has all pages but those that follow.
func (db *DB) receiveByBucket(ctx context.Context, id pagefile.Identity, st page.State, at Position, keys *crypt.Keyring, r io.Reader, n uint32) (_ *pagefile.File, err error) {
	h := db.host
	if db.cold == nil {
		return nil, fmt.Errorf("the image names pages in a bucket: %w", ErrNoBucket)
	}
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, fmt.Errorf("reading the image: %w", err)
	}
	size := binary.LittleEndian.Uint32(length[:])
	if size > maxLocalCopy {
		return nil, fmt.Errorf("%w: an image with a manifest of %d bytes", ErrDamaged, size)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, fmt.Errorf("reading the image: %w", err)
	}
	if keys != nil {
		if err := h.saveKeys(db.dir, id, keys); err != nil {
			return nil, err
		}
		db.cold.keyed(keys)
	}
	space := db.cold.in(id)
	m, err := space.Decode(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("the manifest in the image: %w", err)
	}
	chain, err := m.Chain(0)
	if err != nil {
		return nil, fmt.Errorf("the manifest in the image: %w", err)
	}
	base := chain[len(chain)-1].State
	if base.TXID > st.TXID || base.Size != st.Size {
		return nil, fmt.Errorf("%w: the image doesn't follow its manifest", ErrDamaged)
	}
	// The bucket keeps what the manifest names for the grace at least, so it is enough that this succeeds later.
	if err := space.Pin(ctx, h.o.Cold.Node, m.Sequence, m); err != nil {
		h.o.Logger.Warn("the bucket couldn't be told that this server stands on it", "database", db.Name(), "error", err)
	}
	if err := h.keepManifest(ctx, db.segment, space, m); err != nil {
		return nil, err
	}
	f, err := h.writePages(db.segment, id, st, at, keys, func(c *pagefile.Checkpoint) error {
		c.SetBucket(pagefile.Bucket{Sequence: m.Sequence, TXID: base.TXID})
		c.Adopt(base.Pages)
		buf := make([]byte, 4+st.Size)
		for i := range n {
			_, err := io.ReadFull(r, buf)
			if err == nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if err == nil {
				no := binary.LittleEndian.Uint32(buf)
				err = c.Put(no, buf[4:], page.Sum(no, buf[4:]), false)
			}
			if err != nil {
				return fmt.Errorf("page %d of %d: %w", i+1, n, err)
			}
		}
		return nil
	})
	if err == nil {
		db.cold.learn(m)
	}
	return f, err
}
