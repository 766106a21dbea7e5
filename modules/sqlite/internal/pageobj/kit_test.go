package pageobj

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/superfly/ltx"
)

// model is a database as it should be: the pages that aren't zeros.
type model struct {
	state page.State
	pages map[uint32][]byte
}

func newModel(size uint32) *model {
	return &model{page.State{Size: size, Time: 1_700_000_000_123_456}, map[uint32][]byte{}}
}

func (m *model) Page(no uint32, buf []byte) ([]byte, uint64, error) {
	clear(buf)
	copy(buf, m.pages[no])
	return buf, page.Sum(no, buf), nil
}

func (m *model) clone() *model {
	return &model{m.state, maps.Clone(m.pages)}
}

func (m *model) put(no uint32, data []byte) {
	if no == ltx.LockPgno(m.state.Size) {
		return
	}
	if page.Zero(data) {
		delete(m.pages, no)
		return
	}
	m.pages[no] = data
}

// text makes a page that compresses somewhat, interior a page that looks like one of a B-tree.
func text(r *rand.Rand, size uint32) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
		if i > int(size)/2 {
			b[i] = byte('a' + i%7)
		}
	}
	b[0] = 0x0d
	return b
}

func interior(r *rand.Rand, no, size, pages uint32) []byte {
	b := make([]byte, size)
	h := b
	if no == 1 {
		h = b[100:]
	}
	cells := 1 + r.IntN(20)
	content := int(size) - cells*9
	h[0], h[4] = 5, byte(cells)
	h[5], h[6] = byte(content>>8), byte(content)
	right := 1 + r.Uint32N(pages)
	h[8], h[9], h[10], h[11] = byte(right>>24), byte(right>>16), byte(right>>8), byte(right)
	for i := range cells {
		at := content + i*9
		h[12+2*i], h[13+2*i] = byte(at>>8), byte(at)
		for j := range 9 {
			b[at+j] = byte(r.Uint32())
		}
	}
	return b
}

func keyring(t testing.TB) *crypt.Keyring {
	t.Helper()
	p, err := crypt.ParseKeys([]byte(crypt.GenerateKey("k1")))
	if err != nil {
		t.Fatal(err)
	}
	k, err := crypt.NewKeyring(context.Background(), p, [16]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func numbers(m map[uint32]bool) (iter.Seq[uint32], int64) {
	nos := slices.Sorted(maps.Keys(m))
	return slices.Values(nos), int64(len(nos))
}

// options names an object by its transactions.
func options(b objstore.Bucket, k *crypt.Keyring, min page.TXID, s page.State) WriteOptions {
	name := fmt.Sprintf("%016x-%016x", uint64(min), uint64(s.TXID))
	return WriteOptions{Bucket: b, Keys: k, Key: "ltx/0/" + name + ".ltx", IndexKey: "idx/0/" + name + ".idx", Lineage: 7, Min: min, State: s}
}

func mustWrite(t testing.TB, src Source, nos iter.Seq[uint32], count int64, o WriteOptions) Ref {
	t.Helper()
	o.TempDir = t.TempDir()
	ref, err := Write(context.Background(), src, nos, count, o)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func mustOpen(t testing.TB, o ViewOptions) *View {
	t.Helper()
	v, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// keysOf is what ViewOptions want of a keyring that may be nil.
func keysOf(k *crypt.Keyring) func() *crypt.Keyring { return func() *crypt.Keyring { return k } }

// same checks one page of a view.
func (m *model) same(t testing.TB, v *View, no uint32) {
	t.Helper()
	data, sum, err := v.Page(context.Background(), no)
	if err != nil {
		t.Fatalf("page %d: %v", no, err)
	}
	m.equal(t, no, data, sum)
}

func (m *model) equal(t testing.TB, no uint32, data []byte, sum uint64) {
	t.Helper()
	want, wantSum, _ := m.Page(no, make([]byte, m.state.Size))
	if string(data) != string(want) || sum != wantSum {
		t.Fatalf("page %d isn't what was written: sum %016x instead of %016x", no, sum, wantSum)
	}
}

// slow is a bucket that takes a while for each request, and counts them.
type slow struct {
	objstore.Bucket
	wait time.Duration

	mu    sync.Mutex
	gets  int
	bytes int64
	depth int // requests that began after another had ended, that is, dependent ones at most
	open  int
}

func (s *slow) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	s.mu.Lock()
	s.gets++
	s.bytes += n
	if s.open == 0 {
		s.depth++
	}
	s.open++
	s.mu.Unlock()
	if s.wait > 0 {
		time.Sleep(s.wait)
	}
	defer func() {
		s.mu.Lock()
		s.open--
		s.mu.Unlock()
	}()
	return s.Bucket.Get(ctx, key, off, n)
}

func (s *slow) reset() {
	s.mu.Lock()
	s.gets, s.bytes, s.depth = 0, 0, 0
	s.mu.Unlock()
}
