package crypt

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

func tempFile(b *testing.B) *os.File {
	f, err := os.Create(filepath.Join(b.TempDir(), "scratch"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return f
}

// BenchmarkPages compares pages of 4 KiB with the plain cipher below them.
func BenchmarkPages(b *testing.B) {
	plain, place := pattern(4096), make([]byte, 32)
	run := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(4096)
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	buf, out := make([]byte, 0, 4200), make([]byte, 0, 4200)
	a, nonce := newGCM(make([]byte, 32)), make([]byte, nonceBytes)
	run("Seal/Plain", func() error { buf = a.Seal(buf[:0], nonce, plain, place); return nil })
	blocks := ringOf(database, 1).Blocks("page", 1)
	run("Seal/Blocks", func() error { buf = blocks.Seal(buf[:0], plain, place); return nil })
	s := ringOf(database, 1).LogSealer(1)
	run("Seal/Log", func() error { buf = s.Seal(buf[:0], plain, place); return nil })

	one := a.Seal(nil, nonce, plain, place)
	run("Open/Plain", func() (err error) { out, err = a.Open(out[:0], nonce, one, place); return err })
	two := blocks.Seal(nil, plain, place)
	run("Open/Blocks", func() (err error) { out, err = blocks.Open(out[:0], two, place); return err })
	var many [][]byte // of as many openings of the database
	for range 64 {
		blocks.begin()
		many = append(many, blocks.Seal(nil, plain, place))
	}
	i := 0
	run("Open/BlocksOfManyNonces", func() (err error) {
		i++
		out, err = blocks.Open(out[:0], many[i%len(many)], place)
		return err
	})
	three := s.Seal(nil, plain, place)
	run("Open/Log", func() (err error) { out, err = s.ring.OpenLog(out[:0], three, place, 1, 1); return err })
}

func BenchmarkObject(b *testing.B) {
	const size = 4 << 20
	plain := pattern(size)
	k := ringOf(database, 1)
	b.Run("Seal", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			w, err := k.SealObject(io.Discard, 1, "a")
			if err != nil {
				b.Fatal(err)
			}
			if _, err := w.Write(plain); err != nil {
				b.Fatal(err)
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	sealed := sealed(b, k, "a", plain)
	o, err := k.OpenObject(sealed[:ObjectHeaderBytes], lineage, "a", int64(len(sealed)))
	if err != nil {
		b.Fatal(err)
	}
	for name, n := range map[string]int64{"Open": size, "OpenPage": 4096} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(n)
			b.ReportAllocs()
			var out []byte
			from, length := o.Range(0, n)
			for b.Loop() {
				var err error
				if out, err = o.Open(out[:0], sealed[from:from+length], 0, n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
