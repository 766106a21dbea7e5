package coldtest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

var flips = flag.Duration("flips", 3*time.Second, "how long bytes are flipped, in each of the tests about it")

// patience is how long a database with a flipped byte may take to say so.
const patience = 60 * time.Second

// scene is a small database and its bucket.
type scene struct {
	dir    string
	bucket objstore.Bucket
	keys   crypt.KeyProvider
	id     sqlite.ID
	line   uint64
	states map[sqlite.TXID]sum
	newest sqlite.TXID
	all    []sqlite.TXID // of states
}

// makeScene makes one that has something of everything: pages on disk and in the bucket alone, snapshots, log objects,
// records above the page file.
func makeScene(t *testing.T, keys crypt.KeyProvider, clean bool) *scene {
	t.Helper()
	s := &scene{dir: t.TempDir(), bucket: objstore.NewMemory(), keys: keys, states: map[sqlite.TXID]sum{}}
	h := open(t, s.options(s.dir, s.bucket))
	db := create(t, h, "d", sqlite.CreateOptions{PageSize: 1024})
	s.id, s.line = db.ID(), db.Lineage()
	c := connect(t, db)
	do(t, c, schema)
	remember := func() {
		got, err := stateOf(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		s.newest = db.Heads().Committed
		s.states[s.newest] = got
		s.all = append(s.all, s.newest)
	}
	for i := range 8 {
		do(t, c, fmt.Sprintf(`INSERT INTO t (a, b) SELECT 'row %d', randomblob(300) FROM %s`, i, rows(8)))
		remember()
		if i%2 == 1 {
			do(t, c, fmt.Sprintf(`UPDATE t SET b = 'changed %d' WHERE id %% 5 = 1`, i))
			remember()
		}
		var err error
		switch i {
		case 1:
			_, err = db.Snapshot(t.Context(), sqlite.SnapshotOptions{})
		case 3, 6:
			err = db.Upload(t.Context())
		case 4:
			_, err = db.Snapshot(t.Context(), sqlite.SnapshotOptions{Kind: backup.PurposeIncremental})
		}
		if err == nil && i == 6 {
			if err = db.Checkpoint(t.Context()); err == nil {
				err = db.Settle(t.Context())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	if err := errors.Join(h.System().Upload(t.Context()), db.Upload(t.Context())); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if !clean {
		cancel() // no last checkpoints
	}
	defer cancel()
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scene) options(dir string, b objstore.Bucket) sqlite.Options {
	o := cold(dir, b)
	o.Keys = s.keys
	o.CheckpointInterval = time.Hour
	o.LogOptions.SegmentBytes = 64 << 10
	o.Cold.LocalBytes = 24 << 10
	return o
}

// kindsOfKeys are the two kinds of databases.
var kindsOfKeys = []struct {
	name string
	keys crypt.KeyProvider
}{{"encrypted", testKeys}, {"in the clear", nil}}

// flipped is a bucket of which a bit of one object is another one.
type flipped struct {
	objstore.Bucket
	key string
	at  int64
	bit byte
}

func (f *flipped) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	body, info, err := f.Bucket.Get(ctx, key, off, n)
	if err != nil || key != f.key || f.at < off {
		return body, info, err
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if i := f.at - off; err == nil && i < int64(len(b)) {
		b[i] ^= f.bit
	}
	return io.NopCloser(bytes.NewReader(b)), info, err
}

// Every byte of every object is flipped: whoever restores any transaction, or takes the database over on an empty disk,
// gets an error or what it was.
func TestFlippedBytesInTheBucket(t *testing.T) {
	for _, kind := range kindsOfKeys {
		t.Run(kind.name, func(t *testing.T) {
			s := makeScene(t, kind.keys, true)
			type place struct {
				key string
				at  int64
			}
			var places []place
			for _, o := range objects(t, s.bucket) {
				for at := range o.Size {
					places = append(places, place{o.Key, at})
				}
			}
			r := random(t)
			r.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
			var found, harmless tally
			n := inParallel(t, len(places), func(i int) {
				p := places[i]
				f := &flipped{s.bucket, p.key, p.at, 1 << (i % 8)}
				what := fmt.Sprintf("bit %d of byte %d of %s", i%8, p.at, p.key)
				var errs []error
				switch i % 16 {
				case 0:
					errs = append(errs, s.adopt(t, f, what))
				case 1:
					errs = append(errs, s.verify(t, f, what))
				default:
					errs = append(errs, s.restore(t, f, what, i))
				}
				if err := errors.Join(errs...); err != nil {
					found.add(p.key)
				} else {
					harmless.add(p.key)
				}
			})
			t.Logf("%d of %d bytes flipped; found: %s; harmless: %s", n, len(places), &found, &harmless)
		})
	}
}

// restore restores one of the transactions, and checks what comes out.
func (s *scene) restore(t *testing.T, b objstore.Bucket, what string, i int) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	txid := s.all[i%len(s.all)]
	v, err := backup.Restore(ctx, s.space(b), backup.Target{TXID: txid}, backup.RestoreOptions{})
	if err == nil {
		var out bytes.Buffer
		_, err = v.WriteTo(ctx, &out)
		v.Close()
		if err == nil && sumOf(out.Bytes()) != s.states[txid] {
			t.Errorf("%s: transaction %d is restored, and another one than it was", what, txid)
		}
	}
	if ctx.Err() != nil {
		t.Errorf("%s: it doesn't come to an end", what)
	}
	return s.clear(t, err, what, backup.ErrNotRestorable)
}

// verify reads everything, which must find the byte, wherever it is.
func (s *scene) verify(t *testing.T, b *flipped, what string) error {
	report, err := backup.Verify(t.Context(), s.space(b), true, nil)
	if err != nil {
		return s.clear(t, err, what)
	}
	if len(report.Problems) > 0 {
		return report.Problems[0].Err
	}
	if named := strings.HasPrefix(b.key, s.id.String()) && !strings.Contains(b.key, "/pins/"); named {
		t.Errorf("%s: nothing is found", what)
	}
	return nil
}

func (s *scene) space(b objstore.Bucket) *backup.Space {
	return backup.Open(backup.Options{Bucket: b, Database: s.id, Lineage: s.line, Provider: s.keys})
}

// clear looks whether an error is one that says what is wrong.
func (s *scene) clear(t *testing.T, err error, what string, also ...error) error {
	if err == nil {
		return nil
	}
	if p := (*sqlite.PanicError)(nil); errors.As(err, &p) {
		t.Errorf("%s: %v\n%s", what, err, p.Stack)
	}
	for _, e := range append(also, sqlite.ErrDamaged, backup.ErrDamaged, backup.ErrNewer, sqlite.ErrNewerFormat, backup.ErrNoBackup, crypt.ErrDamaged, sqlite.ErrNoKey, sqlite.ErrWrongKey, sqlite.ErrNoProvider, objstore.ErrNotFound, objstore.ErrRange) {
		if errors.Is(err, e) {
			return err
		}
	}
	t.Errorf("%s: the error doesn't say that something is damaged: %v", what, err)
	return err
}

// adopt takes the database over on an empty disk.
func (s *scene) adopt(t *testing.T, b objstore.Bucket, what string) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dir, err := os.MkdirTemp("", "coldtest-")
	if err != nil {
		t.Error(err)
		return nil
	}
	defer os.RemoveAll(dir)
	o := s.options(dir, &unwritten{Bucket: b})
	o.Cold.Adopt = true
	return s.opened(ctx, t, o, what)
}

// opened opens a folder and looks whether it has what it should.
func (s *scene) opened(ctx context.Context, t *testing.T, o sqlite.Options, what string) error {
	h, err := sqlite.Open(ctx, o)
	if err != nil {
		return s.clear(t, err, what)
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	defer h.Close(done)
	db, err := h.DB("d")
	if errors.Is(err, sqlite.ErrNoDatabase) {
		t.Errorf("%s: the database isn't there any more, and nobody says why: %v", what, h.Damage())
		return err
	}
	if err == nil {
		err = db.Err()
	}
	if err != nil {
		return s.clear(t, err, what)
	}
	got, err := stateOf(ctx, db)
	if err != nil {
		return s.clear(t, err, what)
	}
	at := db.Heads().Committed
	if err := errors.Join(h.Damage()...); err != nil {
		return err // it is read only, and says so
	}
	if got != s.states[s.newest] {
		t.Errorf("%s: the database is another one: transaction %d instead of %d", what, at, s.newest)
	}
	return nil
}

// Bytes of local files are flipped, of a folder that was closed and of one that a crash has left.
func TestFlippedBytesOnDisk(t *testing.T) {
	for _, kind := range kindsOfKeys {
		for _, clean := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, closed %v", kind.name, clean), func(t *testing.T) {
				s := makeScene(t, kind.keys, clean)
				type place struct {
					file string
					at   int
				}
				var places []place
				files := map[string][]byte{}
				err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
					if err != nil || e.IsDir() {
						return err
					}
					name, _ := filepath.Rel(s.dir, path)
					if files[name], err = os.ReadFile(path); err != nil {
						return err
					}
					content := len(bytes.TrimRight(files[name], "\x00")) // logs are made longer in advance
					for at := range min(len(files[name]), content+64) {
						places = append(places, place{name, at})
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				r := random(t)
				r.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
				var found, harmless tally
				n := inParallel(t, len(places), func(i int) {
					p := places[i]
					dir, err := os.MkdirTemp("", "coldtest-")
					if err != nil {
						t.Error(err)
						return
					}
					defer os.RemoveAll(dir)
					for name, b := range files {
						if name == p.file {
							b = bytes.Clone(b)
							b[p.at] ^= 1 << (i % 8)
						}
						path := filepath.Join(dir, name)
						if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
							t.Error(err)
							return
						}
					}
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					err = s.opened(ctx, t, s.options(dir, &unwritten{Bucket: s.bucket}), fmt.Sprintf("bit %d of byte %d of %s", i%8, p.at, p.file))
					if ctx.Err() != nil {
						t.Errorf("byte %d of %s: it doesn't come to an end", p.at, p.file)
					}
					if err != nil {
						found.add(p.file)
					} else {
						harmless.add(p.file)
					}
				})
				t.Logf("%d of %d bytes flipped; found: %s; harmless: %s", n, len(places), &found, &harmless)
			})
		}
	}
}
