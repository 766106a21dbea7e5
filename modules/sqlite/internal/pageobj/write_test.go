package pageobj

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/faulty"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/superfly/ltx"
)

func content(t testing.TB, b objstore.Bucket, key string) []byte {
	t.Helper()
	body, _, err := b.Get(context.Background(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	all, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// decodeLTX lays an object's pages over a model, by the reader of the format's makers.
func decodeLTX(t testing.TB, b objstore.Bucket, ref Ref, m *model) {
	t.Helper()
	applyLTX(t, bytes.NewReader(content(t, b, ref.Key)), m)
}

func applyLTX(t testing.TB, r io.Reader, m *model) {
	t.Helper()
	d := ltx.NewDecoder(r)
	if err := d.DecodeHeader(); err != nil {
		t.Fatal(err)
	}
	h := d.Header()
	m.state.Size, m.state.Pages, m.state.TXID = h.PageSize, h.Commit, page.TXID(h.MaxTXID)
	for no := range m.pages {
		if no > h.Commit {
			delete(m.pages, no)
		}
	}
	for {
		var ph ltx.PageHeader
		data := make([]byte, h.PageSize)
		err := d.DecodePage(&ph, data)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		m.put(ph.Pgno, data)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOtherProgramsReadTheObjects(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	bucket := objstore.NewMemory()
	m := newModel(2048)
	m.state.Pages = 50
	m.step(r, 400)
	var refs []Ref
	var inputs []io.Reader
	restored := newModel(2048)
	for i := range 6 {
		before := m.state.TXID
		o := options(bucket, nil, before+1, m.state)
		if i == 0 {
			o = options(bucket, nil, 1, m.state)
			refs = append(refs, mustWrite(t, m, nil, 0, o))
		} else {
			was := m.state.Pages
			nos := m.step(r, 400)
			o = options(bucket, nil, before+1, m.state)
			for no := was + 1; no <= m.state.Pages; no++ {
				nos[no] = true
			}
			seq, n := numbers(nos)
			refs = append(refs, mustWrite(t, m, seq, n, o))
		}
		decodeLTX(t, bucket, refs[i], restored)
		m.compare(t, restored)
		inputs = append(inputs, bytes.NewReader(content(t, bucket, refs[i].Key)))
	}
	// What litestream restore does: one file of all, then the database.
	var whole bytes.Buffer
	c, err := ltx.NewCompactor(&whole, inputs)
	if err != nil {
		t.Fatal(err)
	}
	c.HeaderFlags = ltx.HeaderFlagNoChecksum
	if err := c.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	var db bytes.Buffer
	if err := ltx.NewDecoder(&whole).DecodeDatabaseTo(&db); err != nil {
		t.Fatal(err)
	}
	if db.Len() != int(m.state.Pages)*2048 {
		t.Fatalf("%d bytes for %d pages", db.Len(), m.state.Pages)
	}
	for no := uint32(1); no <= m.state.Pages; no++ {
		data := db.Next(2048)
		m.equal(t, no, data, page.Sum(no, data))
	}
}

func TestTheObjectIsTheOneOfTheFormatsMakers(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 12))
	bucket := objstore.NewMemory()
	m := newModel(4096)
	m.state.TXID, m.state.Pages = 9, 700
	for no := range uint32(700) {
		if no%5 != 0 {
			m.put(no+1, text(r, 4096))
		}
	}
	ref := mustWrite(t, m, nil, 0, options(bucket, nil, 1, m.state))
	var want bytes.Buffer
	e, err := ltx.NewEncoder(&want)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.EncodeHeader(ltx.Header{Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: 4096, Commit: 700, MinTXID: 1, MaxTXID: 9, Timestamp: m.state.Time / 1000}); err != nil {
		t.Fatal(err)
	}
	for no := uint32(1); no <= 700; no++ {
		data, _, _ := m.Page(no, make([]byte, 4096))
		if err := e.EncodePage(ltx.PageHeader{Pgno: no}, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content(t, bucket, ref.Key), want.Bytes()) {
		t.Fatal("the bytes differ")
	}
	info, err := bucket.Head(t.Context(), ref.Key)
	if err != nil || info.Modified.UnixMilli() != m.state.Time/1000 {
		t.Fatalf("the object's time is %v, %v", info.Modified, err)
	}
}

func TestAnIndexSpillsSealed(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 13))
	m := newModel(512)
	m.state.TXID, m.state.Pages = 1, 500_000
	for no := uint32(1); no <= m.state.Pages; no += 1 + r.Uint32N(19) {
		m.put(no, interior(r, no, 512, m.state.Pages))
	}
	bucket := objstore.NewMemory()
	k := keyring(t)
	ref := mustWrite(t, m, nil, 0, options(bucket, k, 1, m.state))
	if ref.Index.RootOff < spoolMemory || ref.Index.Head == 0 {
		t.Fatalf("the index has %d bytes: make the test's database larger", ref.Index.RootOff)
	}
	if err := Verify(t.Context(), bucket, k, ref, true); err != nil {
		t.Fatal(err)
	}
	v := mustOpen(t, ViewOptions{Bucket: bucket, Keys: keysOf(k), Refs: []Ref{ref}})
	for range 2000 {
		m.same(t, v, 1+r.Uint32N(m.state.Pages))
	}
	m.scan(t, v)
}

func TestAnObjectIsWrittenOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 14))
	m := newModel(1024)
	m.state.TXID, m.state.Pages = 1, 100
	for no := range uint32(100) {
		m.put(no+1, text(r, 1024))
	}
	bucket := objstore.NewMemory()
	o := options(bucket, nil, 1, m.state)
	ref := mustWrite(t, m, nil, 0, o)
	again := mustWrite(t, m, nil, 0, o)
	if again.CRC != ref.CRC || again.Size != ref.Size || again.Index.CRC != ref.Index.CRC {
		t.Fatalf("the same object is %+v, and was %+v", again, ref)
	}
	m.put(50, text(r, 1024))
	if _, err := Write(t.Context(), m, nil, 0, o); !errors.Is(err, ErrTaken) {
		t.Fatalf("another object of that name: %v", err)
	}
	// Sealed bytes are never the same twice.
	o = options(bucket, keyring(t), 1, m.state)
	o.Key, o.IndexKey = "sealed", "sealed.idx"
	mustWrite(t, m, nil, 0, o)
	if _, err := Write(t.Context(), m, nil, 0, o); !errors.Is(err, ErrTaken) {
		t.Fatalf("another sealed object of that name: %v", err)
	}
}

// failing is a source that fails at a page.
type failing struct {
	*model
	at uint32
}

var errSource = errors.New("no such luck")

func (f failing) Page(no uint32, buf []byte) ([]byte, uint64, error) {
	if no == f.at {
		return nil, 0, errSource
	}
	return f.model.Page(no, buf)
}

// lying is a source whose sum of a page is wrong.
type lying struct {
	*model
	at uint32
}

func (l lying) Page(no uint32, buf []byte) ([]byte, uint64, error) {
	data, sum, err := l.model.Page(no, buf)
	if no == l.at {
		sum++
	}
	return data, sum, err
}

func TestAFailedWriteLeavesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 15))
	m := newModel(4096)
	m.state.TXID, m.state.Pages = 3, 2000
	for no := range uint32(2000) {
		m.put(no+1, text(r, 4096))
	}
	outage := errors.New("outage")
	limited := errors.New("no more")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	k := keyring(t)
	for name, c := range map[string]struct {
		ctx  context.Context
		src  Source
		nos  []uint32
		edit func(*WriteOptions)
		want error
		text string
	}{
		"source":       {src: failing{m, 1500}, want: errSource, text: "page 1500"},
		"wrong sum":    {src: lying{m, 7}, text: "page 7 has checksum"},
		"context":      {ctx: ended, want: context.Canceled},
		"limit":        {edit: func(o *WriteOptions) { o.Limit = func(context.Context, int) error { return limited } }, want: limited},
		"a page twice": {nos: []uint32{1, 2, 2}, text: "page 2 after page 2"},
		"backwards":    {nos: []uint32{3, 2}, edit: func(o *WriteOptions) { o.Min = 2 }, text: "page 2 after page 3"},
		"beyond":       {nos: []uint32{2001}, edit: func(o *WriteOptions) { o.Min = 2 }, text: "page 2001"},
		"a hole":       {nos: []uint32{1, 3}, text: "page 2 is missing"},
		"no end":       {nos: []uint32{1, 2}, text: "page 3 is missing"},
		"empty":        {edit: func(o *WriteOptions) { o.State.Pages = 0 }, text: "empty"},
		"bucket": {edit: func(o *WriteOptions) {
			o.Bucket = faulty.New(o.Bucket, func(c faulty.Call) faulty.Fault { return faulty.Fault{Before: outage} })
		}, want: outage},
	} {
		for _, sealed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,sealed=%v", name, sealed), func(t *testing.T) {
				bucket := objstore.NewMemory()
				o := options(bucket, nil, 1, m.state)
				if o.TempDir = t.TempDir(); sealed {
					o.Keys = k
				}
				if c.edit != nil {
					c.edit(&o)
				}
				src, ctx := Source(m), t.Context()
				if c.src != nil {
					src = c.src
				}
				if c.ctx != nil {
					ctx = c.ctx
				}
				nos, n := everyPage(m.state.Pages), int64(m.state.Pages)
				if c.nos != nil {
					nos, n = slices.Values(c.nos), int64(len(c.nos))
				}
				_, err := Write(ctx, src, nos, n, o)
				if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
					t.Fatalf("%v", err)
				}
				for info, err := range bucket.List(t.Context(), "", "") {
					t.Fatalf("%s is in the bucket, %v", info.Key, err)
				}
			})
		}
	}
}

func TestAWriteWhoseAnswerWasLost(t *testing.T) {
	r := rand.New(rand.NewPCG(16, 16))
	m := newModel(1024)
	m.state.TXID, m.state.Pages = 3, 300
	for no := range uint32(300) {
		m.put(no+1, text(r, 1024))
	}
	lost := errors.New("connection reset")
	for _, op := range []string{"put", "upload"} {
		bucket := objstore.NewMemory()
		o := options(bucket, nil, 1, m.state)
		o.Bucket = faulty.New(bucket, func(c faulty.Call) faulty.Fault {
			if c.Op == op && c.N == 1 {
				return faulty.Fault{After: lost}
			}
			return faulty.Fault{}
		})
		first, err := Write(t.Context(), m, nil, 0, o)
		if err != nil && !errors.Is(err, lost) {
			t.Fatal(err)
		}
		ref := mustWrite(t, m, nil, 0, o)
		if err == nil && first.CRC != ref.CRC {
			t.Fatalf("%+v and %+v", first, ref)
		}
		m.scan(t, mustOpen(t, ViewOptions{Bucket: bucket, Refs: []Ref{ref}}))
	}
}

func TestProgressAndLimitSeeEverything(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 17))
	m := newModel(4096)
	m.state.TXID, m.state.Pages = 3, 300
	for no := range uint32(300) {
		m.put(no+1, text(r, 4096))
	}
	o := options(objstore.NewMemory(), nil, 1, m.state)
	var done, total, sent int64
	o.Progress = func(d, n int64) {
		if d <= done {
			t.Errorf("%d pages after %d", d, done)
		}
		done, total = d, n
	}
	o.Limit = func(_ context.Context, n int) error { sent += int64(n); return nil }
	ref := mustWrite(t, m, nil, 0, o)
	if done != 300 || total != 300 || sent < ref.Size*9/10 || sent > ref.Size {
		t.Fatalf("%d of %d pages, %d of %d bytes", done, total, sent, ref.Size)
	}
}
