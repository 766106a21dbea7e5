package pageobj

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/superfly/ltx"
)

// step makes the next version of a database at random, and returns the numbers of the pages that may have changed.
func (m *model) step(r *rand.Rand, most uint32) map[uint32]bool {
	m.state.TXID += 1 + page.TXID(r.IntN(3))
	m.state.Time += 1000 * int64(r.IntN(1000))
	before := m.state.Pages
	switch r.IntN(4) {
	case 0: // shrink
		m.state.Pages = 1 + r.Uint32N(before)
	case 1, 2: // grow
		m.state.Pages = before + r.Uint32N(most/4)
	}
	m.state.Pages = min(max(m.state.Pages, 1), most)
	for no := range m.pages {
		if no > m.state.Pages {
			delete(m.pages, no)
		}
	}
	changed := map[uint32]bool{}
	for no := before + 1; no <= m.state.Pages; no++ {
		changed[no] = true
	}
	for range r.IntN(int(m.state.Pages)/2 + 2) {
		changed[1+r.Uint32N(m.state.Pages)] = true
	}
	for no := range changed {
		switch r.IntN(5) {
		case 0:
			delete(m.pages, no)
		case 1:
			m.put(no, interior(r, no, m.state.Size, m.state.Pages))
		default:
			m.put(no, text(r, m.state.Size))
		}
	}
	return changed
}

func TestAChainIsTheDatabase(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		size := uint32(512) << (seed % 4)
		t.Run(fmt.Sprintf("seed=%d,size=%d", seed, size), func(t *testing.T) { chain(t, seed, size, 300) })
	}
}

func TestAllPageSizes(t *testing.T) {
	for size := uint32(page.MinSize); size <= page.MaxSize; size *= 2 {
		t.Run(fmt.Sprint(size), func(t *testing.T) { chain(t, uint64(size), size, 40) })
	}
}

func chain(t *testing.T, seed uint64, size, most uint32) {
	r := rand.New(rand.NewPCG(seed, 1))
	var k *crypt.Keyring
	if seed%2 == 1 || size == 8192 {
		k = keyring(t)
	}
	bucket := objstore.NewMemory()
	m := newModel(size)
	m.state.Pages = 1
	m.step(r, most)
	refs := []Ref{mustWrite(t, m, nil, 0, options(bucket, k, 1, m.state))}
	versions := []*model{m.clone()}
	for range r.IntN(6) {
		before := m.state.TXID
		// Growth that nobody says anything about is allowed here: it is zeros.
		nos, n := numbers(m.step(r, most))
		refs = append(refs, mustWrite(t, m, nos, n, options(bucket, k, before+1, m.state)))
		versions = append(versions, m.clone())
	}
	for i := range refs {
		var mu sync.Mutex
		told := map[uint32]uint64{}
		o := ViewOptions{Bucket: bucket, Keys: keysOf(k), Refs: refs[:i+1]}
		if r.IntN(2) == 0 {
			o.Extra = func(no uint32, data []byte, sum uint64) {
				mu.Lock()
				defer mu.Unlock()
				told[no] = page.Sum(no, data)
				if told[no] != sum {
					t.Errorf("page %d came along with a wrong sum", no)
				}
			}
		}
		if r.IntN(3) == 0 {
			o.CacheBytes = 4096 // nothing stays for long
		}
		v := mustOpen(t, o)
		versions[i].check(t, r, v)
		v.Close()
		for no, sum := range told {
			if _, want, _ := versions[i].Page(no, make([]byte, size)); sum != want {
				t.Fatalf("page %d of another version came along", no)
			}
		}
		if err := Verify(t.Context(), bucket, k, refs[i], true); err != nil {
			t.Fatal(err)
		}
		if err := Verify(t.Context(), bucket, k, refs[i], false); err != nil {
			t.Fatal(err)
		}
	}
	changes(t, bucket, k, refs, versions)
}

// check compares all of a view with the model.
func (m *model) check(t *testing.T, r *rand.Rand, v *View) {
	t.Helper()
	if v.State() != m.state {
		t.Fatalf("the view is of %v instead of %v", v.State(), m.state)
	}
	var ask []uint32
	for range 20 {
		ask = append(ask, r.Uint32N(m.state.Pages+3))
	}
	v.Prefetch(t.Context(), ask)
	var wg sync.WaitGroup
	order := r.Perm(int(m.state.Pages) + 3)
	for i := range 3 {
		wg.Go(func() {
			for j := i; j < len(order); j += 3 {
				no := uint32(order[j])
				data, sum, err := v.Page(t.Context(), no)
				if err != nil {
					t.Errorf("page %d: %v", no, err)
					return
				}
				want, wantSum, _ := m.Page(no, make([]byte, m.state.Size))
				if string(data) != string(want) || sum != wantSum {
					t.Errorf("page %d isn't what was written", no)
				}
			}
		})
	}
	wg.Wait()
	for no := range m.state.Pages + 2 {
		m.same(t, v, no)
		if sum, err := v.Sum(t.Context(), no); err != nil || sum != page.Sum(no, m.pages[no]) {
			t.Fatalf("sum of page %d: %016x, %v", no, sum, err)
		}
	}
	m.scan(t, v)
}

func (m *model) scan(t *testing.T, v *View) {
	t.Helper()
	next, all := uint32(1), uint64(0)
	err := v.Scan(t.Context(), 1, func(no uint32, data []byte, sum uint64) error {
		if no != next {
			return fmt.Errorf("page %d comes after page %d", no, next-1)
		}
		next++
		all ^= sum
		m.equal(t, no, data, sum)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if next != m.state.Pages+1 {
		t.Fatalf("the scan ended with page %d of %d", next-1, m.state.Pages)
	}
}

// changes checks that what differs between two versions is among what Changed says, in order and once.
func changes(t *testing.T, bucket objstore.Bucket, k *crypt.Keyring, refs []Ref, versions []*model) {
	v := mustOpen(t, ViewOptions{Bucket: bucket, Keys: keysOf(k), Refs: refs})
	now := versions[len(versions)-1]
	for _, then := range versions {
		got := map[uint32]bool{}
		last := uint32(0)
		if err := v.Changed(t.Context(), then.state.TXID, func(no uint32) error {
			if no <= last || no > now.state.Pages {
				return fmt.Errorf("page %d after page %d", no, last)
			}
			last, got[no] = no, true
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for no := range now.state.Pages + 1 {
			if page.Sum(no, now.pages[no]) != page.Sum(no, then.pages[no]) && !got[no] {
				t.Fatalf("page %d differs from transaction %d, and Changed doesn't say so", no, then.state.TXID)
			}
		}
		if then == now && len(got) > 0 {
			t.Fatalf("%d pages differ from themselves", len(got))
		}
	}
}

func TestWhatWasCutOffStaysCutOff(t *testing.T) {
	bucket := objstore.NewMemory()
	r := rand.New(rand.NewPCG(3, 3))
	m := newModel(1024)
	m.state.TXID, m.state.Pages = 1, 20
	for no := range uint32(20) {
		m.put(no+1, text(r, 1024))
	}
	refs := []Ref{mustWrite(t, m, nil, 0, options(bucket, nil, 1, m.state))}
	for _, pages := range []uint32{10, 18} {
		m.state.TXID, m.state.Pages = m.state.TXID+1, pages
		m.put(1, text(r, 1024))
		nos, n := numbers(map[uint32]bool{1: true})
		refs = append(refs, mustWrite(t, m, nos, n, options(bucket, nil, m.state.TXID, m.state)))
	}
	for no := uint32(11); no <= 20; no++ {
		delete(m.pages, no)
	}
	m.check(t, r, mustOpen(t, ViewOptions{Bucket: bucket, Refs: refs}))
	seen := 0
	v := mustOpen(t, ViewOptions{Bucket: bucket, Refs: refs})
	if err := v.Changed(t.Context(), 1, func(uint32) error { seen++; return nil }); err != nil || seen != 1+8 {
		t.Fatalf("%d pages changed: %v", seen, err)
	}
}

// raced says that the race detector is on.
var raced bool

func TestTheLockPageIsNowhere(t *testing.T) {
	if testing.Short() || raced {
		t.Skip("it goes through gigabytes of zeros, which takes minutes with the race detector: make test-encrypted runs it without")
	}
	const size = 65536
	lock := ltx.LockPgno(size) // page 16385
	bucket := objstore.NewMemory()
	r := rand.New(rand.NewPCG(5, 5))
	m := newModel(size)
	m.state.TXID, m.state.Pages = 1, lock-2
	m.put(1, text(r, size))
	m.put(lock-2, text(r, size))
	refs := []Ref{mustWrite(t, m, nil, 0, options(bucket, nil, 1, m.state))}
	// Growth over it, up to it, and back.
	for i, pages := range []uint32{lock, lock + 40, lock - 1, lock + 3} {
		changed := map[uint32]bool{}
		for no := m.state.Pages + 1; no <= pages; no++ {
			changed[no] = true
			if no != lock && no%2 == 0 {
				m.put(no, text(r, size))
			}
		}
		for no := range m.pages {
			if no > pages {
				delete(m.pages, no)
			}
		}
		changed[lock-2] = true
		m.put(lock-2, text(r, size))
		m.state.TXID, m.state.Pages = page.TXID(i+2), pages
		nos, n := numbers(changed)
		refs = append(refs, mustWrite(t, m, nos, n, options(bucket, nil, m.state.TXID, m.state)))
		v := mustOpen(t, ViewOptions{Bucket: bucket, Refs: refs})
		for no := lock - 4; no < lock+50; no++ {
			m.same(t, v, no)
		}
		if i == 3 {
			m.scan(t, v)
		}
		v.Close()
	}
	// A full object that goes over it is a database for other programs too.
	full := options(bucket, nil, 1, m.state)
	ref := mustWrite(t, m, nil, 0, full)
	if ref.Pages != m.state.Pages-1 {
		t.Fatalf("%d of %d pages, and one should be left out", ref.Pages, m.state.Pages)
	}
	if err := Verify(t.Context(), bucket, nil, ref, true); err != nil {
		t.Fatal(err)
	}
	restored := newModel(size)
	decodeLTX(t, bucket, ref, restored)
	m.compare(t, restored)
}

// compare checks that two databases have the same pages.
func (m *model) compare(t testing.TB, other *model) {
	t.Helper()
	if len(m.pages) != len(other.pages) {
		t.Fatalf("%d pages that aren't zeros instead of %d", len(other.pages), len(m.pages))
	}
	for no, data := range m.pages {
		if string(other.pages[no]) != string(data) {
			t.Fatalf("page %d differs", no)
		}
	}
}

func TestAViewIsOfAWholeChainOnly(t *testing.T) {
	bucket := objstore.NewMemory()
	m := newModel(512)
	m.state.TXID, m.state.Pages = 4, 3
	r := rand.New(rand.NewPCG(1, 1))
	for no := range uint32(3) {
		m.put(no+1, text(r, 512))
	}
	a := mustWrite(t, m, nil, 0, options(bucket, nil, 1, m.state))
	m.state.TXID = 6
	nos, n := numbers(map[uint32]bool{2: true})
	b := mustWrite(t, m, nos, n, options(bucket, nil, 5, m.state))
	other := b
	other.State.Size = 1024
	later := b
	later.Min = 6
	for name, refs := range map[string][]Ref{"none": nil, "no beginning": {b}, "a gap": {a, later}, "backwards": {b, a}, "twice": {a, b, b}, "two sizes": {a, other}, "empty": {{}}} {
		if v, err := Open(context.Background(), ViewOptions{Bucket: bucket, Refs: refs}); err == nil {
			v.Close()
			t.Errorf("%s: it opened", name)
		}
	}
	mustOpen(t, ViewOptions{Bucket: bucket, Refs: []Ref{a, b}})
}
