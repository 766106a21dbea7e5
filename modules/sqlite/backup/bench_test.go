package backup

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// benchFixture is a database of 64 MiB whose pages are half random, with a log of small transactions after it.
func benchFixture(b *testing.B, transactions int) (*fixture, *Writer) {
	f := newFixture(b, 1, true, objstore.NewMemory())
	rng := rand.New(rand.NewPCG(1, 1))
	fill := func() []byte {
		p := make([]byte, 4096)
		for i := 0; i < len(p)/2; i += 8 {
			binary.LittleEndian.PutUint64(p[i:], rng.Uint64())
		}
		return p
	}
	var pages [][]byte
	touched := map[uint32]bool{}
	for no := range uint32(16 << 10) {
		pages = append(pages, fill())
		touched[no+1] = true
	}
	f.install(4096, true, pages, touched)
	w := f.writer(1)
	if err := f.putPages(w, 1, 1, PurposeFull); err != nil {
		b.Fatal(err)
	}
	for range transactions {
		pages = append([][]byte(nil), f.newest().pages...)
		touched := map[uint32]bool{}
		for range 4 {
			no := uint32(rng.IntN(len(pages))) + 1
			p := append([]byte(nil), pages[no-1]...)
			binary.LittleEndian.PutUint64(p[2048:], rng.Uint64())
			pages[no-1], touched[no] = p, true
		}
		f.install(4096, false, pages, touched)
		f.versions[len(f.versions)-2].pages = nil // too many of them
	}
	if transactions > 0 {
		if err := f.putLog(w, 2, f.txid()); err != nil {
			b.Fatal(err)
		}
	}
	return f, w
}

func benchmarkRestore(b *testing.B, transactions int) {
	f, _ := benchFixture(b, transactions)
	b.SetBytes(64 << 20)
	for b.Loop() {
		r, err := Restore(b.Context(), f.space, Target{Latest: true}, RestoreOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.WriteTo(b.Context(), io.Discard); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

func BenchmarkRestoreOfPages(b *testing.B) { benchmarkRestore(b, 0) }

func BenchmarkRestoreOfPagesAndLog(b *testing.B) { benchmarkRestore(b, 300) }

func BenchmarkPutLog(b *testing.B) {
	f, w := benchFixture(b, 300)
	size := int64(0)
	for r := range f.log(1, page.TXID(301)) {
		size += int64(len(r.Data))
	}
	b.SetBytes(size)
	for b.Loop() {
		if _, err := w.PutLog(b.Context(), f.log(1, 301)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadLog(b *testing.B) {
	f, w := benchFixture(b, 300)
	l, err := w.PutLog(b.Context(), f.log(1, 301))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(l.Size)
	for b.Loop() {
		if _, err := readAll(b, f.space.Objects(), l); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommit swaps a manifest that names a thousand objects.
func BenchmarkCommit(b *testing.B) {
	f := newFixture(b, 1, true, objstore.NewMemory())
	w := f.writer(1)
	err := w.Commit(b.Context(), func(m *Manifest) error {
		m.Objects = []Object{object(1, 1)}
		for i := range page.TXID(1000) {
			m.Logs = append(m.Logs, logOf(2+i, 2+i))
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := w.Commit(b.Context(), rename("x")); err != nil {
			b.Fatal(err)
		}
	}
}
