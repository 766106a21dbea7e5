package pageobj

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// parts are the root, the first block and the first pack of a real index, and what the root says of the latter.
func parts(f *testing.F) (r *root, head, block, pack []byte) {
	bucket := objstore.NewMemory()
	_, refs := smallChain(f, bucket, nil)
	i := refs[0].Index
	index := content(f, bucket, i.Key)
	head = index[i.RootOff:]
	r, err := decodeRoot(head, i.RootOff)
	if err != nil {
		f.Fatal(err)
	}
	b, p := r.blocks[0], r.packs[0]
	return r, head, index[b.off:][:b.length], index[p.off:][:p.length]
}

func FuzzRoot(f *testing.F) {
	_, head, _, _ := parts(f)
	f.Add(head, int64(1000))
	f.Add(head[:len(head)-packDescBytes], int64(1<<40))
	f.Fuzz(func(t *testing.T, b []byte, off int64) {
		if len(b) > crcBytes { // the checksum is no riddle for somebody who wants to do damage
			b = slices.Clone(b)
			binary.LittleEndian.PutUint32(b[len(b)-crcBytes:], crc32.Checksum(b[:len(b)-crcBytes], castagnoli))
		}
		r, err := decodeRoot(b, off)
		if err != nil {
			return
		}
		if string(r.encode()) != string(b) {
			t.Fatal("it doesn't encode to what it was decoded from")
		}
		for n, d := range r.blocks {
			if r.block(d.first) != n || r.block(d.last) != n {
				t.Fatalf("block %d isn't found", n)
			}
		}
		for n, d := range r.packs {
			if r.pack(d.first) != n || r.pack(d.last) != n {
				t.Fatalf("pack %d isn't found", n)
			}
		}
	})
}

func FuzzBlock(f *testing.F) {
	r, _, b, _ := parts(f)
	d := r.blocks[0]
	f.Add(b, d.first, d.last, d.pages, r.data)
	f.Add(b, d.first, d.last+5, d.pages, r.data)
	f.Fuzz(func(t *testing.T, b []byte, first, last, pages uint32, data int64) {
		d := blockDesc{first: first, last: last, pages: pages, length: uint32(len(b)), off: indexHeaderBytes, base: ltxHeaderBytes, crc: crc32.Checksum(b, castagnoli)}
		r := root{size: 512, commit: last, pages: pages, data: data, blocks: []blockDesc{d}}
		if r.check(indexHeaderBytes+int64(len(b))) != nil {
			return
		}
		k, err := decodeBlock(b, d, 512, data)
		if err != nil {
			return
		}
		prev, end := first-1, int64(ltxHeaderBytes)
		for i := range k.len() {
			e := k.at(i)
			if at, ok := k.find(e.no); !ok || at != i || e.no <= prev && i > 0 || e.off != end || end > data {
				t.Fatalf("entry %d is %+v", i, e)
			}
			prev, end = e.no, end+int64(e.size)
		}
		if _, ok := k.find(last + 1); ok || prev != last {
			t.Fatalf("the block ends with page %d instead of %d", prev, last)
		}
	})
}

func FuzzPack(f *testing.F) {
	r, _, _, b := parts(f)
	d := r.packs[0]
	f.Add(b, d.first, d.last, d.pages)
	f.Fuzz(func(t *testing.T, b []byte, first, last, pages uint32) {
		d := packDesc{first: first, last: last, pages: pages, length: uint32(len(b)), off: indexHeaderBytes, crc: crc32.Checksum(b, castagnoli)}
		r := root{size: 512, commit: last, pages: pages, data: 1 << 20, packs: []packDesc{d}}
		if err := r.check(indexHeaderBytes + int64(len(b))); err != nil && len(r.blocks) > 0 {
			return
		}
		p, err := decodePack(b, d, 512)
		if err != nil {
			return
		}
		data := make([]byte, 512)
		for i, no := range p.nos {
			if at, ok := p.find(no); !ok || at != i {
				t.Fatalf("page %d isn't found", no)
			}
			if err := p.page(i, data); err == nil && page.Sum(no, data) != p.sums[i] {
				t.Fatalf("page %d isn't what was written", no)
			}
		}
	})
}

func FuzzFrame(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	b := newBatch(512)
	e := &encoder{o: &WriteOptions{Min: 2, State: page.State{Size: 512, Pages: 9}}}
	out, free := make(chan *batch, 1), make(chan *batch, 1)
	free <- b
	m := newModel(512)
	m.put(7, text(r, 512))
	if err := e.produce(f.Context(), m, slices.Values([]uint32{7}), free, out); err != nil {
		f.Fatal(err)
	}
	f.Add((<-out).frames, uint32(7), page.Sum(7, m.pages[7]))
	f.Fuzz(func(t *testing.T, b []byte, no uint32, sum uint64) {
		data := make([]byte, 512)
		if decodeFrame(b, no, sum, data) == nil && page.Sum(no, data) != sum {
			t.Fatal("it isn't what was written")
		}
	})
}

// FuzzInner feeds pages that may be anything to what looks for inner pages.
func FuzzInner(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	f.Add(interior(r, 5, 512, 9), uint32(5))
	f.Fuzz(func(t *testing.T, b []byte, no uint32) {
		data := make([]byte, 512)
		copy(data, b)
		if inner(no, data, 100) && no != 1 && data[0] != 2 && data[0] != 5 {
			t.Fatal("that is no inner page")
		}
	})
}
