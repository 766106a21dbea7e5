package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagestore"
)

// An image of a database is a header of 96 bytes and all its pages in order. docs/formats/image.md has the bytes.
const (
	imageMagic   = "BOPDBIMG"
	imageVersion = 3
	imageHeader  = 96
	imageName    = "image" // of the sealed object

	// What an image is: all pages in the clear, another one sealed, the pages that the bucket lacks.
	imageWhole, imageSealed, imageByBucket = 1, 2, 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// image reads a snapshot as an image in the clear.
type image struct {
	ctx  context.Context
	sn   pagestore.Snapshot
	head []byte
	at   int64
	no   uint32 // of the page in buf
	buf  []byte
	data []byte
}

// image pins the committed state.
func (db *DB) image() (Image, error) {
	s := db.current()
	i := &image{ctx: context.Background()}
	if err := s.Pin(&i.sn, false); err != nil {
		return nil, err
	}
	id := db.ident()
	i.head = encodeImage(id, i.sn.State, i.sn.Position)
	i.buf = make([]byte, i.sn.State.Size)
	var plain Image = i
	if r, err := db.imageByBucket(i); err != nil {
		db.host.o.Logger.Warn("an image has all pages, those that the bucket has too", "database", db.Name(), "error", err)
	} else if r != nil {
		plain = r
	}
	// A keyring that was committed since opens what was sealed before.
	if k := s.Keys(); k != nil {
		sealed, err := sealImage(plain, id, k)
		if err != nil {
			return nil, errors.Join(err, i.Close())
		}
		return sealed, nil
	}
	return plain, nil
}

func encodeImage(id pagefile.Identity, st page.State, pos uint64) []byte {
	b := make([]byte, imageHeader)
	copy(b, imageMagic)
	le := binary.LittleEndian
	le.PutUint32(b[8:], imageWhole)
	le.PutUint32(b[12:], st.Size)
	copy(b[16:], id.Database[:])
	for i, v := range []uint64{id.Lineage, uint64(st.TXID), st.Epoch, uint64(st.Pages), st.Checksum, uint64(st.Time), pos} {
		le.PutUint64(b[32+8*i:], v)
	}
	le.PutUint32(b[92:], crc32.Checksum(b[:92], castagnoli))
	return b
}

// decodeImage reads the header of an image. pages is how many follow if it is one by bucket.
func decodeImage(b []byte) (id pagefile.Identity, st page.State, byBucket bool, pages uint32, err error) {
	le := binary.LittleEndian
	switch kind := le.Uint32(b[8:]); {
	case len(b) != imageHeader || string(b[:8]) != imageMagic:
		return id, st, false, 0, fmt.Errorf("%w: it is no image of a database", ErrDamaged)
	case kind != imageWhole && kind != imageByBucket:
		return id, st, false, 0, &NewerFormatError{"an image of a database", kind, imageVersion}
	case crc32.Checksum(b[:92], castagnoli) != le.Uint32(b[92:]):
		return id, st, false, 0, fmt.Errorf("%w: checksum of an image's header", ErrDamaged)
	case kind == imageByBucket:
		byBucket, pages = true, le.Uint32(b[88:])
	}
	copy(id.Database[:], b[16:])
	v := func(i int) uint64 { return le.Uint64(b[32+8*i:]) }
	id.Lineage = v(0)
	st = page.State{TXID: TXID(v(1)), Epoch: v(2), Size: le.Uint32(b[12:]), Pages: uint32(v(3)), Checksum: v(4), Time: int64(v(5))}
	if st.Pages > 0 && !page.ValidSize(st.Size) || v(3) > 1<<32-2 {
		return id, st, false, 0, fmt.Errorf("%w: an image with impossible sizes", ErrDamaged)
	}
	return id, st, byBucket, pages, nil
}

// Size implements Image.
func (i *image) Size() int64 {
	return imageHeader + int64(i.sn.State.Size)*int64(i.sn.State.Pages)
}

// Seek implements io.Seeker.
func (i *image) Seek(offset int64, whence int) (int64, error) {
	return seek(&i.at, i.Size(), offset, whence)
}

// seek moves a reader's place in an image of so many bytes.
func seek(at *int64, size, offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += *at
	case io.SeekEnd:
		offset += size
	}
	if offset < 0 {
		return *at, errors.New("seeking before an image's beginning")
	}
	*at = offset
	return offset, nil
}

// Read implements io.Reader.
func (i *image) Read(b []byte) (int, error) {
	if i.at < imageHeader {
		n := copy(b, i.head[i.at:])
		i.at += int64(n)
		return n, nil
	}
	if i.at >= i.Size() {
		return 0, io.EOF
	}
	size := int64(i.sn.State.Size)
	no := uint32((i.at-imageHeader)/size) + 1
	if no != i.no {
		data, _, err := i.sn.Page(i.ctx, no, i.buf)
		if err != nil {
			return 0, fmt.Errorf("page %d: %w", no, err)
		}
		i.no, i.data = no, data
	}
	n := copy(b, i.data[(i.at-imageHeader)%size:])
	i.at += int64(n)
	return n, nil
}

// Close implements io.Closer.
func (i *image) Close() error {
	i.sn.Release()
	return nil
}

// restore replaces the database by an image, which has the log's records up to at. It is called by the owner.
func (db *DB) restore(ctx context.Context, at Position, r io.Reader) error {
	r, keys, err := db.host.openImage(r)
	if err != nil {
		return err
	}
	head := make([]byte, imageHeader)
	if _, err := io.ReadFull(r, head); err != nil {
		return fmt.Errorf("reading the image: %w", err)
	}
	id, st, byBucket, n, err := decodeImage(head)
	if err != nil {
		return err
	}
	if st.Pages == 0 {
		// A database that was never written has no page file, and needs none.
		if st.TXID == 0 {
			db.applying.Lock()
			defer db.applying.Unlock()
			db.replace(id, nil, nil)
			return nil
		}
		if keys == nil {
			return fmt.Errorf("%w: an image without pages at transaction %d", ErrDamaged, st.TXID)
		}
	}
	var file *pagefile.File
	if byBucket {
		file, err = db.receiveByBucket(ctx, id, st, at, keys, r, n)
	} else {
		file, err = db.receive(ctx, id, st, at, keys, r)
	}
	if err != nil {
		return err
	}
	db.applying.Lock()
	defer db.applying.Unlock()
	old := db.file
	db.file, db.kept = file, keys
	if db.cold != nil {
		db.cold.file.Store(file)
	}
	db.replace(id, file, keys)
	if old != nil {
		_ = old.Close()
	}
	db.host.o.Logger.Info("database was restored from a snapshot", "database", db.Name(), "txid", uint64(st.TXID), "pages", st.Pages)
	return nil
}

// receive writes an image's pages into a new page file that takes the old one's place on disk.
func (db *DB) receive(ctx context.Context, id pagefile.Identity, st page.State, at Position, keys *crypt.Keyring, r io.Reader) (_ *pagefile.File, err error) {
	h := db.host
	if keys != nil {
		// Before what they seal. Should that not come to its end, they open what is here as well: it is of the same database.
		if err := h.saveKeys(db.dir, id, keys); err != nil {
			return nil, err
		}
	}
	return h.writePages(db.segment, id, st, at, keys, func(c *pagefile.Checkpoint) error {
		var sum uint64
		buf := make([]byte, st.Size)
		for no := uint32(1); no <= st.Pages; no++ {
			_, err := io.ReadFull(r, buf)
			if err == nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if err == nil {
				s := page.Sum(no, buf)
				sum ^= s
				err = c.Put(no, buf, s, false)
			}
			if err != nil {
				return fmt.Errorf("page %d of %d: %w", no, st.Pages, err)
			}
		}
		if sum != st.Checksum {
			return fmt.Errorf("%w: the image's pages don't have its checksum", ErrDamaged)
		}
		return nil
	})
}

// writePages makes a page file that takes the old one's place on disk: of one version, whose pages fill puts.
func (h *Host) writePages(segment SegmentID, id pagefile.Identity, st page.State, at Position, keys *crypt.Keyring, fill func(c *pagefile.Checkpoint) error) (_ *pagefile.File, err error) {
	f, err := h.createPages(segment, id, st.Size, keys)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	c, err := f.Checkpoint()
	if err != nil {
		return nil, err
	}
	if err := fill(c); err != nil {
		c.Abort()
		return nil, err
	}
	t, err := c.Commit(st, uint64(at))
	if err != nil {
		return nil, err
	}
	t.Release()
	return f, h.adoptPages(h.segmentDir(segment))
}

// replace puts the database on another page file, or on none. What connections have seen may be gone: they are stale.
// applying is held.
func (db *DB) replace(id pagefile.Identity, file *pagefile.File, keys *crypt.Keyring) {
	old := db.current()
	base := pagefile.Empty()
	if file != nil {
		base = file.Newest()
	}
	db.identify(id)
	s := db.host.openStore(db.segment, id, base, old.Heads().Rollback+1, keys)
	db.store.Store(s)
	old.Close()
	db.dead.Store(nil)
	db.stand()
}
