package pagefile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/bop-platform/bop/modules/aof/crashfs"
	"github.com/bop-platform/bop/modules/aof/fsys"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

var identity = Identity{Database: page.ID{1}, Lineage: 2}

func handle(t testing.TB, fs fsys.FS) fsys.File {
	t.Helper()
	if err := fs.MkdirAll("/d", 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := fs.OpenFile("/d/pages", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// model is what a version must hold.
type model map[uint32][]byte

// checkpoint writes a version in which the pages in changed are new.
func checkpoint(f *File, txid page.TXID, pages uint32, changed model) (*Tree, error) {
	c, err := f.Checkpoint()
	if err != nil {
		return nil, err
	}
	nos := make([]uint32, 0, len(changed))
	for no := range changed {
		nos = append(nos, no)
	}
	slices.Sort(nos)
	for _, no := range nos {
		if err := c.Put(no, changed[no], page.Sum(no, changed[no]), false); err != nil {
			c.Abort()
			return nil, err
		}
	}
	return c.Commit(page.State{TXID: txid, Size: f.size, Pages: pages}, uint64(txid))
}

func verify(t *Tree, want model) error {
	buf := make([]byte, t.State.Size)
	for no := uint32(1); no <= t.State.Pages; no++ {
		if err := t.Read(context.Background(), no, buf, 0); err != nil {
			return err
		}
		w := want[no]
		if w == nil {
			w = page.Zeros(t.State.Size)
		}
		if !bytes.Equal(buf, w) {
			return fmt.Errorf("page %d of version %d differs", no, t.State.TXID)
		}
	}
	return nil
}

func random(r *rand.Rand, size uint32) []byte {
	b := make([]byte, size)
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b
}

func TestVersionsStayWhatTheyWere(t *testing.T) {
	for _, size := range []uint32{512, 1024} {
		t.Run(fmt.Sprintf("with pages of %d", size), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(size), 1))
			f := Create(handle(t, crashfs.New()), identity, size, Options{Name: "pages", Cache: NewCache(100 << 10)})
			defer f.Close()
			type held struct {
				t    *Tree
				want model
			}
			var open []held
			now, pages := model{}, uint32(0)
			for i := range 120 {
				// From nothing to four levels and back.
				switch r.IntN(5) {
				case 0:
					pages = r.Uint32N(4000)
				case 1:
					pages = r.Uint32N(60)
				default:
					pages += r.Uint32N(200)
				}
				changed := model{}
				next := model{}
				for no, b := range now {
					if no <= pages {
						next[no] = b
					}
				}
				for range r.IntN(60) {
					if pages == 0 {
						break
					}
					no := 1 + r.Uint32N(pages)
					changed[no] = random(r, size)
					if r.IntN(8) == 0 {
						changed[no] = page.Zeros(size)
					}
					next[no] = changed[no]
				}
				tree, err := checkpoint(f, page.TXID(i+1), pages, changed)
				if err != nil {
					t.Fatal(err)
				}
				now = next
				open = append(open, held{tree, now})
				if len(open) > 6 {
					k := r.IntN(len(open))
					if err := verify(open[k].t, open[k].want); err != nil {
						t.Fatal(err)
					}
					open[k].t.Release()
					open = slices.Delete(open, k, k+1)
				}
				if r.IntN(10) == 0 {
					if err := f.Repeat(); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, h := range open {
				if err := verify(h.t, h.want); err != nil {
					t.Fatal(err)
				}
				h.t.Release()
			}
		})
	}
}

func TestSlotsAreReused(t *testing.T) {
	f := Create(handle(t, crashfs.New()), identity, 512, Options{Name: "pages", Cache: NewCache(1 << 20)})
	defer f.Close()
	r := rand.New(rand.NewPCG(1, 1))
	var most int64
	for i := range 200 {
		changed := model{}
		for no := range uint32(20) {
			changed[no+1] = random(r, 512)
		}
		tree, err := checkpoint(f, page.TXID(i+1), 20, changed)
		if err != nil {
			t.Fatal(err)
		}
		tree.Release()
		n, _ := f.Bytes()
		most = max(most, n)
	}
	if most > 100*512 {
		t.Fatalf("20 pages took %d bytes", most)
	}
}

func TestAnyCrashLeavesAVersion(t *testing.T) {
	// Five checkpoints, an opening in the middle; every operation is a crash point.
	workload := func(disk *crashfs.FS, done *[]model) error {
		r := rand.New(rand.NewPCG(3, 3))
		if err := disk.MkdirAll("/d", 0o700); err != nil {
			return err
		}
		h, err := disk.OpenFile("/d/pages", os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		if err := disk.SyncDir("/d"); err != nil {
			return err
		}
		f := Create(h, identity, 512, Options{Name: "pages", Cache: NewCache(1 << 20)})
		now := model{}
		for i := range 6 {
			changed := model{}
			for range 12 {
				changed[1+r.Uint32N(60)] = random(r, 512)
			}
			next := model{}
			for no, b := range now {
				next[no] = b
			}
			for no, b := range changed {
				next[no] = b
			}
			now = next
			*done = append(*done, now)
			tree, err := checkpoint(f, page.TXID(i+1), 60, changed)
			if err != nil {
				*done = append(*done, nil) // not acknowledged
				return err
			}
			tree.Release()
			if i == 3 {
				if f, err = Open(h, Options{Name: "pages", Cache: NewCache(1 << 20)}); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for n := 1; ; n++ {
		disk := crashfs.New()
		disk.CrashAt(n)
		var done []model
		err := workload(disk, &done)
		if !disk.Crashed() {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		acked := len(done)
		if acked > 0 && done[acked-1] == nil {
			done = done[:acked-1]
			acked = len(done) - 1
		}
		for mode, image := range disk.Images(3) {
			if acked == 0 {
				continue // the file need not be there
			}
			f, err := Open(handle(t, image), Options{Name: "pages", Cache: NewCache(1 << 20)})
			if err != nil {
				t.Fatalf("operation %d, %v: %v", n, mode, err)
			}
			tree := f.Newest()
			txid := int(tree.State.TXID)
			if txid < acked || txid > len(done) {
				t.Fatalf("operation %d, %v: version %d, acknowledged %d of %d", n, mode, txid, acked, len(done))
			}
			if err := verify(tree, done[txid-1]); err != nil {
				t.Fatalf("operation %d, %v: %v", n, mode, err)
			}
			if f.older != nil {
				// The version before stands too: its header may be all that a later failure leaves.
				if err := verify(f.older, done[int(f.older.State.TXID)-1]); err != nil && acked == txid {
					t.Fatalf("operation %d, %v: the older version: %v", n, mode, err)
				}
			}
			next, err := checkpoint(f, 99, 60, model{1: random(rand.New(rand.NewPCG(1, 1)), 512)})
			if err != nil {
				t.Fatal(err)
			}
			next.Release()
			tree.Release()
			f.Close()
		}
	}
}

func TestEveryFlippedBitOfAFileIsFoundOrWithoutEffect(t *testing.T) {
	disk := crashfs.New()
	f := Create(handle(t, disk), identity, 512, Options{Name: "pages", Cache: NewCache(1 << 20)})
	want := model{}
	r := rand.New(rand.NewPCG(1, 1))
	for no := range uint32(50) {
		want[no+1] = random(r, 512)
	}
	for i := range 2 {
		tree, err := checkpoint(f, page.TXID(i+1), 50, want)
		if err != nil {
			t.Fatal(err)
		}
		tree.Release()
	}
	size, _ := f.Bytes()
	for off := int64(0); off < size; off += 13 {
		disk.Flip("/d/pages", off, uint8(off%8))
		g, err := Open(handle(t, disk), Options{Name: "pages", Cache: NewCache(1 << 20)})
		if err == nil {
			tree := g.Newest()
			if err := verify(tree, want); err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d: %v", off, err)
			}
			var d *DamageError
			if err := verify(tree, want); errors.As(err, &d) && (d.Offset > off || d.Offset+int64(f.stride) <= off) {
				t.Fatalf("byte %d: %v", off, d)
			}
			tree.Release()
		}
		disk.Flip("/d/pages", off, uint8(off%8))
	}
}

func fixHeader(b []byte) []byte {
	if len(b) < headerBytes {
		return b
	}
	b = bytes.Clone(b)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], Version)
	binary.LittleEndian.PutUint32(b[headerBytes-4:], crc32.Checksum(b[:headerBytes-4], castagnoli))
	return b
}

// memory is a Handle over bytes.
type memory struct{ *bytes.Reader }

func (memory) WriteAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }
func (memory) Sync() error                        { return nil }
func (memory) Truncate(int64) error               { return nil }
func (m memory) Size() (int64, error)             { return m.Reader.Size(), nil }
func (memory) Close() error                       { return nil }

func FuzzOpen(f *testing.F) {
	disk := crashfs.New()
	p := Create(handle(f, disk), identity, 512, Options{Name: "pages", Cache: NewCache(1 << 20)})
	for i := range 2 {
		tree, err := checkpoint(p, page.TXID(i+1), 3, model{1: bytes.Repeat([]byte{1}, 512), 3: bytes.Repeat([]byte{3}, 512)})
		if err != nil {
			f.Fatal(err)
		}
		tree.Release()
	}
	n, _ := p.Bytes()
	b := make([]byte, n)
	p.f.ReadAt(b, 0)
	f.Add(b)
	f.Add(b[:5000])
	f.Fuzz(func(t *testing.T, b []byte) {
		// A fuzzer doesn't guess a CRC.
		b = append(fixHeader(b), b[min(len(b), headerBytes):]...)[:len(b)]
		if len(b) >= headerBytes {
			copy(b, fixHeader(b[:headerBytes]))
		}
		p, err := Open(memory{bytes.NewReader(b)}, Options{Name: "pages", Cache: NewCache(1 << 20)})
		if err != nil {
			return
		}
		tree := p.Newest()
		defer tree.Release()
		for _, no := range []uint32{1, 2, 3, tree.State.Pages / 2, tree.State.Pages} {
			_, _, _ = tree.Page(context.Background(), no)
		}
	})
}

func TestTheLogIsNeededFromTheOlderHeaderOn(t *testing.T) {
	h := handle(t, crashfs.New())
	f := Create(h, identity, 512, Options{Name: "pages", Cache: NewCache(1 << 20)})
	expect := func(want uint64) {
		t.Helper()
		if got := f.Covered(); got != want {
			t.Fatalf("covered up to %d, not %d", got, want)
		}
	}
	expect(0)
	for i, want := range []uint64{0, 10, 20} {
		tree, err := checkpoint(f, page.TXID(10*i+10), 1, model{1: bytes.Repeat([]byte{byte(i)}, 512)})
		if err != nil {
			t.Fatal(err)
		}
		tree.Release()
		expect(want)
	}
	g, err := Open(h, Options{Name: "pages", Cache: NewCache(1 << 20)})
	if err != nil {
		t.Fatal(err)
	}
	if g.Covered() != 20 {
		t.Fatalf("after an opening covered up to %d", g.Covered())
	}
	if err := f.Repeat(); err != nil {
		t.Fatal(err)
	}
	expect(30)
}

func TestPeekingLeavesTheCacheAlone(t *testing.T) {
	disk := crashfs.New()
	h := handle(t, disk)
	r := rand.New(rand.NewPCG(3, 3))
	want := model{}
	for no := range uint32(200) {
		want[no+1] = random(r, 512)
	}
	delete(want, 50)
	v, err := checkpoint(Create(h, identity, 512, Options{Name: "pages", Cache: NewCache(1 << 20)}), 1, 200, want)
	if err != nil {
		t.Fatal(err)
	}
	v.Release()
	cache := NewCache(1 << 20)
	f, err := Open(h, Options{Name: "pages", Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	v = f.Newest()
	var buf []byte
	peek := func(no uint32) {
		t.Helper()
		b, sum, err := v.Peek(t.Context(), no, &buf)
		w := want[no]
		if w == nil {
			w = page.Zeros(512)
		}
		if err != nil || !bytes.Equal(b, w) || sum != page.Sum(no, w) {
			t.Fatalf("page %d isn't what was written: %v", no, err)
		}
	}
	peek(1)
	before := cache.Stats().Bytes // nodes are kept
	for no := range uint32(200) {
		peek(no + 1)
	}
	if n := cache.Stats().Bytes - before; n >= 200*512/2 {
		t.Errorf("the cache has got %d bytes", n)
	}
	if _, _, err := v.Page(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	hits := cache.Stats().Hits
	peek(7)
	if cache.Stats().Hits == hits {
		t.Error("a page that is in the cache was read again")
	}
	e, err := v.lookup(9)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteAt([]byte{^want[9][100]}, slotOffset(e.slot, f.stride)+slotOverhead+100); err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.Peek(t.Context(), 9, &buf); !errors.Is(err, ErrDamaged) {
		t.Errorf("a page that was changed on disk: %v", err)
	}
}
