package pageobj

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	sqlite3 "github.com/ncruces/go-sqlite3"
)

// fileSource is a database file.
type fileSource struct{ f *os.File }

func (s fileSource) Page(no uint32, buf []byte) ([]byte, uint64, error) {
	_, err := s.f.ReadAt(buf, int64(no-1)*int64(len(buf)))
	return buf, page.Sum(no, buf), err
}

// sqliteFile makes a database of about n bytes with a table of rows under random keys, and returns some of these.
func sqliteFile(t testing.TB, n int64) (src fileSource, s page.State, table uint32, keys []int64) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "db")
	db, err := sqlite3.Open("file:" + name + "?_pragma=journal_mode(off)&_pragma=synchronous(off)&_pragma=cache_size(-100000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Exec(fmt.Sprintf(`
		CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB);
		WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < %d)
		INSERT INTO t SELECT (i << 40) + (random() & 0xffffffffff), randomblob(250) || zeroblob(250) FROM n;
		CREATE TABLE other (a); INSERT INTO other VALUES (1);`, n/520)); err != nil {
		t.Fatal(err)
	}
	ints := func(sql string) (all []int64) {
		stmt, _, err := db.Prepare(sql)
		if err != nil {
			t.Fatal(err)
		}
		defer stmt.Close()
		for stmt.Step() {
			all = append(all, stmt.ColumnInt64(0))
		}
		if stmt.Err() != nil {
			t.Fatal(stmt.Err())
		}
		return all
	}
	table = uint32(ints("SELECT rootpage FROM sqlite_schema WHERE name = 't'")[0])
	keys = ints("SELECT id FROM t WHERE id % 97 = 0")
	s = page.State{TXID: 1, Size: uint32(ints("PRAGMA page_size")[0]), Pages: uint32(ints("PRAGMA page_count")[0]), Time: 1e15}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return fileSource{f}, s, table, keys
}

// reader reads a view as the page store does: what it has had once, or was told of, it has.
type reader struct {
	v  *View
	mu sync.Mutex
	at map[uint32][]byte
}

func (r *reader) page(ctx context.Context, no uint32) ([]byte, error) {
	r.mu.Lock()
	data := r.at[no]
	r.mu.Unlock()
	if data != nil {
		return data, nil
	}
	data, _, err := r.v.Page(ctx, no)
	if err == nil {
		r.keep(no, data, 0)
	}
	return data, err
}

func (r *reader) keep(no uint32, data []byte, _ uint64) {
	r.mu.Lock()
	r.at[no] = data
	r.mu.Unlock()
}

// lookup goes from the root of a table to the leaf that has a key, as SQLite does.
func (r *reader) lookup(ctx context.Context, root uint32, key int64) (levels int, err error) {
	for no := root; ; levels++ {
		data, err := r.page(ctx, no)
		if err != nil {
			return levels, err
		}
		if data[0] == 0x0d {
			return levels, nil
		}
		if data[0] != 0x05 {
			return levels, fmt.Errorf("page %d is no page of a table", no)
		}
		no = binary.BigEndian.Uint32(data[8:])
		for i := range int(binary.BigEndian.Uint16(data[3:])) {
			cell := data[binary.BigEndian.Uint16(data[12+2*i:]):]
			var k int64
			for j, b := range cell[4:min(13, len(cell))] {
				if j == 8 {
					k = k<<8 | int64(b)
					break
				}
				if k = k<<7 | int64(b&0x7f); b < 0x80 {
					break
				}
			}
			if key <= k {
				no = binary.BigEndian.Uint32(cell)
				break
			}
		}
	}
}

func TestFewRequests(t *testing.T) {
	size := int64(256 << 20)
	if testing.Short() || raced { // make test-encrypted runs all of it without the race detector
		size = 64 << 20
	}
	src, s, table, keys := sqliteFile(t, size)
	for name, k := range map[string]*crypt.Keyring{"clear": nil, "sealed": keyring(t)} {
		t.Run(name, func(t *testing.T) {
			mem := objstore.NewMemory()
			ref := mustWrite(t, src, nil, 0, options(mem, k, 1, s))
			refs := append([]Ref{ref}, increments(t, mem, k, src, s, 6)...)
			t.Run("full", func(t *testing.T) { requests(t, mem, k, refs[:1], s, table, keys) })
			t.Run("chain", func(t *testing.T) { requests(t, mem, k, refs, s, table, keys) })
		})
	}
}

// increments are objects in which a few hundred pages were written anew.
func increments(t *testing.T, b objstore.Bucket, k *crypt.Keyring, src Source, s page.State, n int) (refs []Ref) {
	r := rand.New(rand.NewPCG(9, 9))
	for range n {
		s.TXID++
		changed := map[uint32]bool{1: true}
		for range 300 {
			changed[1+r.Uint32N(s.Pages)] = true
		}
		nos, count := numbers(changed)
		refs = append(refs, mustWrite(t, src, nos, count, options(b, k, s.TXID, s)))
	}
	return refs
}

func requests(t *testing.T, b objstore.Bucket, k *crypt.Keyring, refs []Ref, s page.State, table uint32, keys []int64) {
	bucket := &slow{Bucket: b, wait: 2 * time.Millisecond}
	r := &reader{at: map[uint32][]byte{}}
	r.v = mustOpen(t, ViewOptions{Bucket: bucket, Keys: keysOf(k), Refs: refs, Extra: r.keep})
	if bucket.gets != 0 {
		t.Fatalf("opening took %d requests", bucket.gets)
	}
	if _, err := r.page(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	levels, err := r.lookup(t.Context(), table, keys[len(keys)/2])
	if err != nil {
		t.Fatal(err)
	}
	if levels < 2 {
		t.Fatalf("the tree has %d levels above its leaves: make it larger", levels)
	}
	t.Logf("first query: %d requests, %d dependent", bucket.gets, bucket.depth)
	if bucket.depth > 6 {
		t.Errorf("the first query took %d dependent requests, and should take 6", bucket.depth)
	}
	bucket.reset()
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		if _, err := r.lookup(t.Context(), table, keys[rnd.IntN(len(keys))]); err != nil {
			t.Fatal(err)
		}
	}
	// In a database of 1 GiB, there is more of the index to be read.
	root, err := r.v.root(t.Context(), r.v.objects[0])
	if err != nil {
		t.Fatal(err)
	}
	parts, gib := len(root.blocks)+len(root.packs), (1<<30)/float64(int64(s.Pages)*int64(s.Size))
	scaled := bucket.gets + int(float64(parts)*(gib-1))
	t.Logf("100 random reads: %d requests, %d KiB; with the index of a database of 1 GiB %d", bucket.gets, bucket.bytes>>10, scaled)
	if scaled > 150 {
		t.Errorf("100 random reads took %d requests, and would take %d in 1 GiB, and should take 150", bucket.gets, scaled)
	}
}
