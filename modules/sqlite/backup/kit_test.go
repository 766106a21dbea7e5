package backup

import (
	"bytes"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
	"github.com/bop-platform/bop/modules/sqlite/internal/record"
)

var testID = page.ID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

const testLineage = 0x0123456789abcdef

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// newKeys makes a provider and the keyring of the test database.
func newKeys(t testing.TB) (crypt.KeyProvider, *crypt.Keyring) {
	t.Helper()
	p, err := crypt.ParseKeys([]byte(crypt.GenerateKey("k1")))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := crypt.NewKeyring(t.Context(), p, testID)
	if err != nil {
		t.Fatal(err)
	}
	return p, ring
}

// version is one state of the model's database.
type version struct {
	state page.State
	pages [][]byte
}

func (v *version) Page(no uint32, _ []byte) ([]byte, uint64, error) {
	data := v.pages[no-1]
	return data, page.Sum(no, data), nil
}

func (v *version) bytes() []byte { return bytes.Join(v.pages, nil) }

// model is a database of which all versions are kept.
type model struct {
	t        testing.TB
	rng      *rand.Rand
	ring     *crypt.Keyring
	sealer   *crypt.LogSealer
	lineage  uint64
	epoch    uint64
	position uint64
	clock    *clock

	versions []*version        // by TXID
	records  [][]LogRecord     // by TXID
	touched  []map[uint32]bool // by TXID
	images   []bool            // by TXID
}

func newModel(t testing.TB, seed uint64, ring *crypt.Keyring, c *clock) *model {
	m := &model{t: t, rng: rand.New(rand.NewPCG(seed, 1)), ring: ring, lineage: testLineage, epoch: 1, clock: c}
	m.reseal()
	m.versions = []*version{{}}
	m.records, m.touched, m.images = make([][]LogRecord, 1), make([]map[uint32]bool, 1), make([]bool, 1)
	return m
}

func (m *model) reseal() {
	if m.ring != nil {
		m.sealer = m.ring.LogSealer(m.lineage)
	}
}

func (m *model) newest() *version { return m.versions[len(m.versions)-1] }

func (m *model) txid() page.TXID { return page.TXID(len(m.versions) - 1) }

// page makes a page with some content.
func (m *model) page(size uint32) []byte {
	b := make([]byte, size)
	if m.rng.IntN(10) == 0 {
		return b
	}
	for range 1 + m.rng.IntN(5) {
		at := m.rng.IntN(int(size) - 16)
		copy(b[at:], fmt.Sprintf("plain text %d", m.rng.Uint32()))
	}
	return b
}

// commit makes a transaction: most write a few pages, some grow or shrink the database, some are images.
func (m *model) commit() {
	m.t.Helper()
	old := m.newest()
	size := old.state.Size
	image := size == 0 || m.rng.IntN(25) == 0
	if size == 0 {
		size = 512
	} else if image && m.rng.IntN(2) == 0 {
		size = 512 << m.rng.IntN(3)
	}
	pages := slices.Clone(old.pages)
	touched := map[uint32]bool{}
	if image {
		pages = nil
		for no := range uint32(5 + m.rng.IntN(60)) {
			pages = append(pages, m.page(size))
			touched[no+1] = true
		}
	} else {
		switch m.rng.IntN(6) {
		case 0:
			for range m.rng.IntN(30) {
				pages = append(pages, make([]byte, size))
				touched[uint32(len(pages))] = true
			}
		case 1:
			pages = pages[:1+m.rng.IntN(len(pages))]
		}
		for range m.rng.IntN(6) {
			no := uint32(m.rng.IntN(len(pages))) + 1
			pages[no-1] = m.page(size)
			touched[no] = true
		}
	}
	m.install(size, image, pages, touched)
}

// install makes a version and its records.
func (m *model) install(size uint32, image bool, pages [][]byte, touched map[uint32]bool) {
	old := m.newest()
	m.clock.Add(time.Duration(1+m.rng.IntN(1000)) * time.Millisecond)
	st := page.State{TXID: old.state.TXID + 1, Epoch: m.epoch, Size: size, Pages: uint32(len(pages)), Time: m.clock.Now().UnixMicro()}
	for i, data := range pages {
		st.Checksum ^= page.Sum(uint32(i+1), data)
	}
	for no := range touched {
		if no > st.Pages {
			delete(touched, no)
		}
	}
	v := &version{st, pages}
	var recs []LogRecord
	if m.rng.IntN(8) == 0 {
		// An earlier leadership has begun this transaction and not ended it.
		recs = append(recs, m.encode(v, image, touched, true)...)
		m.epoch++
		v.state.Epoch = m.epoch
	}
	recs = append(recs, m.encode(v, image, touched, false)...)
	m.versions = append(m.versions, v)
	m.records = append(m.records, recs)
	m.touched = append(m.touched, touched)
	m.images = append(m.images, image)
}

func (m *model) encode(v *version, image bool, touched map[uint32]bool, unfinished bool) []LogRecord {
	old := m.newest()
	st := v.state
	var w record.Writer
	w.Begin(record.Header{Database: testID, Lineage: m.lineage, Epoch: m.epoch, TXID: st.TXID, Prev: st.TXID - 1, Time: st.Time, Size: st.Size, Image: image})
	var out []LogRecord
	add := func(b []byte, last bool) {
		if m.ring != nil {
			sealed, err := record.Seal(b, m.sealer)
			if err != nil {
				m.t.Fatal(err)
			}
			b = sealed
		}
		m.position += 1 + uint64(m.rng.IntN(3))
		out = append(out, LogRecord{TXID: st.TXID, Position: m.position, Epoch: m.epoch, Time: st.Time, Last: last, Data: b})
	}
	for _, no := range slices.Sorted(mapKeys(touched)) {
		var base []byte
		if !image && no <= old.state.Pages {
			base = old.pages[no-1]
		}
		w.Page(no, v.pages[no-1], base)
		if m.rng.IntN(20) == 0 {
			add(w.Part(), false)
		}
	}
	if unfinished {
		add(w.Part(), false)
		return out
	}
	add(w.Finish(record.Commit{Pages: st.Pages, PrevChecksum: old.state.Checksum, Checksum: st.Checksum}), true)
	return out
}

func mapKeys(set map[uint32]bool) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for k := range set {
			if !yield(k) {
				return
			}
		}
	}
}

// changed lists the pages that an object of transactions first to last has to hold, nil: all.
func (m *model) changed(first, last page.TXID) []uint32 {
	set := map[uint32]bool{}
	least := m.versions[first-1].state.Pages
	for id := first; id <= last; id++ {
		for no := range m.touched[id] {
			set[no] = true
		}
		least = min(least, m.versions[id].state.Pages)
	}
	end := m.versions[last].state.Pages
	for no := least + 1; no <= end; no++ {
		set[no] = true
	}
	list := slices.Sorted(mapKeys(set))
	return slices.DeleteFunc(list, func(no uint32) bool { return no > end })
}

// full tells whether an object of these transactions has to have all pages.
func (m *model) full(first, last page.TXID) bool {
	for id := first; id <= last; id++ {
		if id > 1 && m.versions[id].state.Size != m.versions[id-1].state.Size {
			return true
		}
	}
	return first == 1
}

// log gives the records of some transactions.
func (m *model) log(first, last page.TXID) iter.Seq2[LogRecord, error] {
	return func(yield func(LogRecord, error) bool) {
		for id := first; id <= last; id++ {
			for _, r := range m.records[id] {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// putPages puts and commits an object of some transactions, or a full one if it must be.
func (m *model) putPages(w *Writer, first, last page.TXID, purpose Purpose) error {
	o, err := m.pages(w, first, last, purpose)
	if err != nil {
		return err
	}
	return w.Commit(m.t.Context(), func(x *Manifest) error { x.Add(o); return nil })
}

func (m *model) pages(w *Writer, first, last page.TXID, purpose Purpose) (Object, error) {
	v := m.versions[last]
	in := PageUpload{Level: LevelUpload, Min: first, State: v.state, Position: m.records[last][len(m.records[last])-1].Position, Purpose: purpose}
	if m.full(first, last) {
		in.Level, in.Min = LevelFull, 1
		return w.PutPages(m.t.Context(), v, nil, 0, in)
	}
	nos := m.changed(first, last)
	return w.PutPages(m.t.Context(), v, slices.Values(nos), int64(len(nos)), in)
}

// putLog puts and commits a log object of some transactions.
func (m *model) putLog(w *Writer, first, last page.TXID) error {
	l, err := w.PutLog(m.t.Context(), m.log(first, last))
	if err != nil {
		return err
	}
	return w.Commit(m.t.Context(), func(x *Manifest) error { x.AddLog(l); return nil })
}

// fixture is a model with its place in a bucket.
type fixture struct {
	*model
	bucket objstore.Bucket
	space  *Space
	o      Options
}

func newFixture(t testing.TB, seed uint64, sealed bool, bucket objstore.Bucket) *fixture {
	t.Helper()
	c := newClock()
	o := Options{Bucket: bucket, Database: testID, Lineage: testLineage, TempDir: t.TempDir(), Clock: c.Now}
	var ring *crypt.Keyring
	if sealed {
		o.Provider, ring = newKeys(t)
		o.Keys = func() *crypt.Keyring { return ring }
	}
	return &fixture{newModel(t, seed, ring, c), bucket, Open(o), o}
}

func (f *fixture) writer(epoch uint64) *Writer {
	f.t.Helper()
	w, err := f.space.Writer(f.t.Context(), epoch)
	if err != nil {
		f.t.Fatal(err)
	}
	return w
}

// restored checks that a target comes out as the model has it.
func (f *fixture) restored(s *Space, t Target, want page.TXID) {
	f.t.Helper()
	if err := f.tryRestore(s, t, want); err != nil {
		f.t.Fatalf("restoring %v: %v", t, err)
	}
}

func (f *fixture) tryRestore(s *Space, t Target, want page.TXID) error {
	r, err := Restore(f.t.Context(), s, t, RestoreOptions{Memory: 4096})
	if err != nil {
		return err
	}
	defer r.Close()
	v := f.versions[want]
	if r.State() != v.state {
		return fmt.Errorf("it is %+v instead of %+v", r.State(), v.state)
	}
	var out bytes.Buffer
	if _, err := r.WriteTo(f.t.Context(), &out); err != nil {
		return err
	}
	if !bytes.Equal(out.Bytes(), v.bytes()) {
		return fmt.Errorf("transaction %d came out with other bytes", want)
	}
	if err := Check(&out, v.state.Size, v.state.Checksum); err != nil {
		return err
	}
	for _, from := range []int64{0, f.rng.Int64N(int64(len(v.bytes()))), int64(len(v.bytes()))} {
		if _, err := r.WriteFrom(f.t.Context(), &out, from); err != nil {
			return err
		}
		if !bytes.Equal(out.Bytes(), v.bytes()[from:]) {
			return fmt.Errorf("transaction %d came out with other bytes from %d on", want, from)
		}
		out.Reset()
	}
	buf := make([]byte, v.state.Size)
	for no := range v.state.Pages {
		data, sum, err := r.Page(no+1, buf)
		if err != nil || !bytes.Equal(data, v.pages[no]) || sum != page.Sum(no+1, data) {
			return fmt.Errorf("page %d came out otherwise (%v)", no+1, err)
		}
	}
	return nil
}

// verified fails the test if a deep look at the bucket finds anything.
func (f *fixture) verified(s *Space) *Report {
	f.t.Helper()
	r, err := Verify(f.t.Context(), s, true, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, p := range r.Problems {
		f.t.Errorf("problem: %v", p)
	}
	return r
}

var _ pageobj.Source = (*version)(nil)
