package pageobj

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// plainChain is a full object of pages that are leaves, and half as many pages in a newer one.
func plainChain(t testing.TB, bucket objstore.Bucket, pages uint32) (*model, []Ref) {
	t.Helper()
	r := rand.New(rand.NewPCG(31, 31))
	m := newModel(1024)
	m.state.TXID, m.state.Pages = 1, pages
	for no := range pages {
		m.put(no+1, text(r, 1024))
	}
	refs := []Ref{mustWrite(t, m, nil, 0, options(bucket, nil, 1, m.state))}
	m.state.TXID = 2
	changed := map[uint32]bool{}
	for no := uint32(3); no <= pages; no += 1 + r.Uint32N(3) {
		m.put(no, text(r, 1024))
		changed[no] = true
	}
	nos, n := numbers(changed)
	return m, append(refs, mustWrite(t, m, nos, n, options(bucket, nil, 2, m.state)))
}

func TestASequentialReaderIsReadAhead(t *testing.T) {
	mem := objstore.NewMemory()
	m, refs := plainChain(t, mem, 8000)
	for name, c := range map[string]struct {
		step  uint32
		extra bool
		most  int // requests
	}{
		"page by page":         {1, false, 160},
		"with gaps":            {5, false, 160},
		"others keep the rest": {1, true, 160},
	} {
		t.Run(name, func(t *testing.T) {
			bucket := &slow{Bucket: mem}
			var metrics Metrics
			rd := &reader{at: map[uint32][]byte{}}
			o := ViewOptions{Bucket: bucket, Refs: refs, Metrics: &metrics}
			if c.extra {
				o.Extra = rd.keep
			}
			rd.v = mustOpen(t, o)
			for no := uint32(1); no <= m.state.Pages; no += c.step {
				data, err := rd.page(t.Context(), no)
				if err != nil {
					t.Fatal(err)
				}
				if string(data) != string(m.pages[no]) {
					t.Fatalf("page %d isn't what was written", no)
				}
			}
			rd.v.Close()
			if bucket.gets > c.most {
				t.Errorf("%d requests for %d pages, and %d should be enough", bucket.gets, m.state.Pages, c.most)
			}
			if n := metrics.Ahead.Load(); n > int64(m.state.Pages)*11/10 {
				t.Errorf("%d pages were read ahead of %d", n, m.state.Pages)
			}
			if metrics.Requests.Load() != int64(bucket.gets) || metrics.Bytes.Load() != bucket.bytes {
				t.Errorf("%d requests of %d bytes were counted instead of %d of %d", metrics.Requests.Load(), metrics.Bytes.Load(), bucket.gets, bucket.bytes)
			}
		})
	}
}

// Whoever keeps what comes along asks the view for few pages, and is to be read ahead all the same.
func TestAReaderThatTellsWhatItUsesDoesNotWaitAtTheEndOfAWindow(t *testing.T) {
	mem := objstore.NewMemory()
	m, refs := plainChain(t, mem, 8000)
	for name, tell := range map[string]bool{"it tells": true, "it doesn't": false} {
		t.Run(name, func(t *testing.T) {
			rd := &reader{at: map[uint32][]byte{}}
			var metrics Metrics
			rd.v = mustOpen(t, ViewOptions{Bucket: &slow{Bucket: mem}, Refs: refs, Metrics: &metrics, Extra: rd.keep, ReadAhead: 256 << 10})
			for no := uint32(1); no <= m.state.Pages; no++ {
				rd.mu.Lock()
				data := rd.at[no]
				rd.mu.Unlock()
				if data == nil {
					if _, err := rd.page(t.Context(), no); err != nil {
						t.Fatal(err)
					}
				} else if tell {
					rd.v.Used(t.Context(), no)
				}
				rd.arrived() // all that was asked for is here before it goes on
			}
			rd.v.Close()
			// Waits for the bucket. Some are from before it counts as sequential.
			if n := metrics.Misses.Load() + metrics.Joined.Load(); tell != (n < 20) {
				t.Errorf("it waited for %d pages of %d", n, m.state.Pages)
			}
			if n := metrics.Ahead.Load(); n > int64(m.state.Pages)*11/10 {
				t.Errorf("%d pages were read ahead of %d", n, m.state.Pages)
			}
		})
	}
}

// arrived waits until nothing is on its way and all of it was told of.
func (r *reader) arrived() {
	for {
		r.v.mu.Lock()
		n := len(r.v.inflight)
		r.v.mu.Unlock()
		if n == 0 {
			break
		}
		runtime.Gosched()
	}
	r.v.wg.Wait()
}

// A second scan of what is kept elsewhere brings nothing again.
func TestUsingPagesAloneReadsNothingAhead(t *testing.T) {
	mem := objstore.NewMemory()
	m, refs := plainChain(t, mem, 8000)
	var metrics Metrics
	v := mustOpen(t, ViewOptions{Bucket: mem, Refs: refs, Metrics: &metrics})
	for no := range m.state.Pages {
		v.Used(t.Context(), no+1)
	}
	if n := metrics.Ahead.Load(); n != 0 {
		t.Errorf("%d pages were read ahead", n)
	}
}

func TestARandomReaderIsNotReadAhead(t *testing.T) {
	mem := objstore.NewMemory()
	m, refs := plainChain(t, mem, 8000)
	var metrics Metrics
	v := mustOpen(t, ViewOptions{Bucket: mem, Refs: refs, Metrics: &metrics})
	r := rand.New(rand.NewPCG(2, 2))
	for range 500 {
		m.same(t, v, 1+r.Uint32N(8000))
	}
	if n := metrics.Ahead.Load(); n > 200 {
		t.Fatalf("%d pages were read ahead", n)
	}
	off := mustOpen(t, ViewOptions{Bucket: mem, Refs: refs, Metrics: &metrics, ReadAhead: -1})
	before := metrics.Ahead.Load()
	for no := range uint32(300) {
		m.same(t, off, no+1)
	}
	if metrics.Ahead.Load() != before {
		t.Fatal("pages were read ahead, and that was turned off")
	}
}

func TestNeighboursComeWithOneRequest(t *testing.T) {
	mem := objstore.NewMemory()
	_, refs := plainChain(t, mem, 2000)
	bucket := &slow{Bucket: mem}
	v := mustOpen(t, ViewOptions{Bucket: bucket, Refs: refs[:1]})
	if _, err := v.Sum(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	bucket.reset()
	// 20 pages within 64 KiB of each other, and one far away.
	var nos []uint32
	for no := uint32(100); no < 300; no += 10 {
		nos = append(nos, no, no)
	}
	nos = append(nos, 1900)
	v.Prefetch(t.Context(), nos)
	for _, no := range nos {
		if data, sum, err := v.Page(t.Context(), no); err != nil || len(data) != 1024 || sum == 0 {
			t.Fatalf("page %d: %v", no, err)
		}
	}
	if bucket.gets != 2 {
		t.Fatalf("%d requests instead of 2", bucket.gets)
	}
}

func TestWhatComesAlongIsTold(t *testing.T) {
	mem := objstore.NewMemory()
	m, refs := plainChain(t, mem, 3000)
	var mu sync.Mutex
	told := map[uint32]uint64{}
	v := mustOpen(t, ViewOptions{Bucket: mem, Refs: refs, Extra: func(no uint32, _ []byte, sum uint64) {
		mu.Lock()
		told[no] = sum
		mu.Unlock()
	}})
	for no := range uint32(500) {
		m.same(t, v, no+1)
	}
	v.wg.Wait() // everything is told by now
	v.Close()
	if len(told) < 400 {
		t.Fatalf("%d pages were told of", len(told))
	}
	for no, sum := range told {
		if _, want, _ := m.Page(no, make([]byte, 1024)); want != sum {
			t.Fatalf("page %d of another version was told of", no)
		}
	}
}

func TestAViewTakesAsMuchMemoryAsItMay(t *testing.T) {
	mem := objstore.NewMemory()
	ref := benchObject(t, mem, nil)
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // what pools keep is gone after the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	const may = 8 << 20
	v := mustOpen(t, ViewOptions{Bucket: mem, Refs: []Ref{ref}, CacheBytes: may})
	for no := range uint32(benchPages) {
		if _, _, err := v.Page(t.Context(), no+1); err != nil {
			t.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		if _, _, err := v.Page(t.Context(), 1+r.Uint32N(benchPages)); err != nil {
			t.Fatal(err)
		}
	}
	if took := heap() - before; took > may*5/4 {
		t.Errorf("it takes %d KiB and may take %d", took>>10, may>>10)
	}
	v.Close()
	if took := heap() - before; took > may/8 {
		t.Errorf("it keeps %d KiB after it was closed", took>>10)
	}
	runtime.KeepAlive(v)
}
