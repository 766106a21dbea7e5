package pageobj

import (
	"hash/crc32"
	"io"
	"iter"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// indexer collects the index of an object while the object is written. It has one block and one pack in memory; those
// before are in spools.
type indexer struct {
	root root

	entries   []byte // of the block that is being made
	block     blockDesc
	blockFile *spool

	list, packed []byte // of the pack that is being made: its list and its pages
	pack         packDesc
	packFile     *spool

	off int64 // of the next frame
}

func newIndexer(o *WriteOptions) *indexer {
	return &indexer{
		root:      root{size: o.State.Size, commit: o.State.Pages, min: o.Min, max: page.TXID(o.State.TXID)},
		blockFile: &spool{dir: o.TempDir}, packFile: &spool{dir: o.TempDir}, off: ltxHeaderBytes,
	}
}

func (x *indexer) close() {
	x.blockFile.close()
	x.packFile.close()
}

// add notes a page that was written. body is its frame without the frame's header.
func (x *indexer) add(e entry, body []byte) error {
	if x.block.pages == 0 {
		x.block = blockDesc{first: e.no, last: e.no - 1, base: x.off}
	}
	x.entries = appendEntry(x.entries, x.block.last, e)
	x.block.last = e.no
	x.block.pages++
	x.root.pages++
	x.off += int64(e.size)
	if e.packed {
		if x.pack.pages == 0 {
			x.pack = packDesc{first: e.no, last: e.no - 1}
		}
		x.list = appendPacked(x.list, x.pack.last, e.no, len(body), e.sum)
		x.packed = append(x.packed, body...)
		x.pack.last = e.no
		x.pack.pages++
		if len(x.packed) >= packBytes {
			if err := x.endPack(); err != nil {
				return err
			}
		}
	}
	if x.block.pages == blockPages {
		return x.endBlock()
	}
	return nil
}

func (x *indexer) endBlock() error {
	d := x.block
	d.length, d.crc = uint32(len(x.entries)), crc32.Checksum(x.entries, castagnoli)
	d.off = indexHeaderBytes + x.blockFile.size
	if err := x.blockFile.append(x.entries); err != nil {
		return err
	}
	x.root.blocks = append(x.root.blocks, d)
	x.block, x.entries = blockDesc{}, x.entries[:0]
	return nil
}

func (x *indexer) endPack() error {
	d := x.pack
	x.list = append(x.list, x.packed...)
	d.length, d.crc = uint32(len(x.list)), crc32.Checksum(x.list, castagnoli)
	d.off = x.packFile.size // in the spool, as long as it isn't known where the packs begin
	if err := x.packFile.append(x.list); err != nil {
		return err
	}
	x.root.packs = append(x.root.packs, d)
	x.pack, x.list, x.packed = packDesc{}, x.list[:0], x.packed[:0]
	return nil
}

// endPages ends the block and the pack that are open.
func (x *indexer) endPages() error {
	if x.block.pages > 0 {
		if err := x.endBlock(); err != nil {
			return err
		}
	}
	if x.pack.pages > 0 {
		return x.endPack()
	}
	return nil
}

// blocks goes through the entry blocks that were made.
func (x *indexer) blocks() iter.Seq2[*block, error] {
	return func(yield func(*block, error) bool) {
		var b []byte
		for _, d := range x.root.blocks {
			b = append(b[:0], make([]byte, d.length)...)
			k, err := (*block)(nil), x.blockFile.readAt(b, d.off-indexHeaderBytes)
			if err == nil {
				k, err = decodeBlock(b, d, x.root.size, x.off)
			}
			if !yield(k, err) || err != nil {
				return
			}
		}
	}
}

// writeTo writes the index: blocks, packs, root. The first pack comes last among the packs, so that the request that
// brings the root brings the first page and the inner pages that are needed first.
func (x *indexer) writeTo(w io.Writer, ref *IndexRef) error {
	if _, err := w.Write(encodeIndexHeader()); err != nil {
		return err
	}
	if err := x.blockFile.copyTo(w, 0, x.blockFile.size); err != nil {
		return err
	}
	packs := indexHeaderBytes + x.blockFile.size
	ref.RootOff = packs + x.packFile.size
	head := ref.RootOff
	if len(x.root.packs) > 0 {
		first := int64(x.root.packs[0].length)
		for i := range x.root.packs {
			d := &x.root.packs[i]
			if d.off += packs - first; i == 0 {
				d.off = ref.RootOff - first
			}
		}
		head -= first
		if err := x.packFile.copyTo(w, first, x.packFile.size-first); err != nil {
			return err
		}
		if err := x.packFile.copyTo(w, 0, first); err != nil {
			return err
		}
	}
	b := x.root.encode()
	ref.RootLen = int64(len(b))
	if ref.Head = head; ref.RootOff+ref.RootLen <= wholeBytes {
		ref.Head = 0
	}
	_, err := w.Write(b)
	return err
}
