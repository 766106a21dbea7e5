package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

// toll is a bucket that is as far away as one likes and counts what it is asked. An upload is one request.
type toll struct {
	objstore.Bucket
	latency  time.Duration // before each request
	requests atomic.Int64
	bytes    atomic.Int64 // that were read

	mu    sync.Mutex
	under int // requests under way
	trips int // how often one began while none was under way
}

func (t *toll) pay(ctx context.Context) (done func(), err error) {
	t.requests.Add(1)
	t.mu.Lock()
	if t.under == 0 {
		t.trips++
	}
	t.under++
	t.mu.Unlock()
	done = sync.OnceFunc(func() {
		t.mu.Lock()
		t.under--
		t.mu.Unlock()
	})
	select {
	case <-time.After(t.latency):
		return done, nil
	case <-ctx.Done():
		done()
		return nil, context.Cause(ctx)
	}
}

// count is what has been asked so far.
type count struct {
	requests, bytes int64
	trips           int
}

func (t *toll) count() count {
	t.mu.Lock()
	defer t.mu.Unlock()
	return count{t.requests.Load(), t.bytes.Load(), t.trips}
}

func (c count) since(before count) count {
	return count{c.requests - before.requests, c.bytes - before.bytes, c.trips - before.trips}
}

// Put implements objstore.Bucket.
func (t *toll) Put(ctx context.Context, key string, body io.ReaderAt, size int64, o objstore.PutOptions) (objstore.Info, error) {
	done, err := t.pay(ctx)
	if err != nil {
		return objstore.Info{}, err
	}
	defer done()
	return t.Bucket.Put(ctx, key, body, size, o)
}

// Upload implements objstore.Uploader.
func (t *toll) Upload(ctx context.Context, key string, r io.Reader, o objstore.PutOptions) (objstore.Info, error) {
	done, err := t.pay(ctx)
	if err != nil {
		return objstore.Info{}, err
	}
	defer done()
	return objstore.Upload(ctx, t.Bucket, key, r, o)
}

// Get implements objstore.Bucket.
func (t *toll) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	done, err := t.pay(ctx)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	body, info, err := t.Bucket.Get(ctx, key, off, n)
	if err != nil {
		done()
		return nil, info, err
	}
	return &tolled{body, t, done}, info, nil
}

type tolled struct {
	io.ReadCloser
	t    *toll
	done func()
}

func (b *tolled) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.t.bytes.Add(int64(n))
	return n, err
}

func (b *tolled) Close() error {
	b.done()
	return b.ReadCloser.Close()
}

// Head implements objstore.Bucket.
func (t *toll) Head(ctx context.Context, key string) (objstore.Info, error) {
	done, err := t.pay(ctx)
	if err != nil {
		return objstore.Info{}, err
	}
	defer done()
	return t.Bucket.Head(ctx, key)
}

// List implements objstore.Bucket.
func (t *toll) List(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		done, err := t.pay(ctx)
		if err != nil {
			yield(objstore.Info{}, err)
			return
		}
		defer done()
		t.Bucket.List(ctx, prefix, after)(yield)
	}
}

// Delete implements objstore.Bucket.
func (t *toll) Delete(ctx context.Context, keys ...string) error {
	done, err := t.pay(ctx)
	if err != nil {
		return err
	}
	defer done()
	return t.Bucket.Delete(ctx, keys...)
}

// contents says what a database is filled with.
type contents struct {
	name string
	row  func(n int) []byte
}

var (
	// rowBytes makes four rows a page.
	rowBytes = 960

	asText   = contents{"text", func(n int) []byte { return record(rowBytes, n) }}
	asRandom = contents{"random bytes", func(int) []byte {
		b := make([]byte, rowBytes)
		rand.Read(b) // never fails
		return b
	}}
)

// newKeys is a provider with a key of its own.
func newKeys() (crypt.KeyProvider, error) {
	key := make([]byte, crypt.KeyBytes)
	rand.Read(key) // never fails
	return crypt.ParseKeys([]byte("bench " + hex.EncodeToString(key)))
}

// stored is a database in a bucket, whose servers are gone.
type stored struct {
	dir  string // the bucket's
	rows int
	keys crypt.KeyProvider
}

const coldName = "bench"

// hostOptions are those of a host that says nothing.
func hostOptions(dir string, keys crypt.KeyProvider, cold sqlite.Cold) sqlite.Options {
	return sqlite.Options{Dir: dir, Keys: keys, Cold: cold, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))}
}

// filled opens a host in dir, with a database of about size bytes.
func filled(ctx context.Context, o sqlite.Options, size int64, what contents) (_ *sqlite.Host, _ *sqlite.DB, rows int, err error) {
	h, err := sqlite.Open(ctx, o)
	if err != nil {
		return nil, nil, 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close(context.WithoutCancel(ctx)))
		}
	}()
	db, err := h.Create(ctx, coldName, sqlite.CreateOptions{})
	if err != nil {
		return nil, nil, 0, err
	}
	p := sql.OpenDB(db.Connector())
	defer p.Close()
	if _, err := p.ExecContext(ctx, `CREATE TABLE item (id INTEGER PRIMARY KEY, v BLOB NOT NULL)`); err != nil {
		return nil, nil, 0, err
	}
	const step = 4096
	for rows = 0; int64(rows)*4096/4 < size; rows += step {
		tx, err := p.BeginTx(ctx, nil)
		if err != nil {
			return nil, nil, 0, err
		}
		st, err := tx.PrepareContext(ctx, `INSERT INTO item (v) VALUES (?)`)
		for i := range step {
			if err == nil {
				_, err = st.ExecContext(ctx, what.row(rows+i))
			}
		}
		if err == nil {
			err = errors.Join(st.Close(), tx.Commit())
		}
		if err != nil {
			return nil, nil, 0, errors.Join(err, tx.Rollback())
		}
	}
	return h, db, rows, db.Checkpoint(ctx)
}

// stores has what the sections need, made once.
type stores struct {
	dir  string
	made map[string]stored
}

// store is a database in a bucket, as a server leaves it that has ended.
func (all *stores) store(ctx context.Context, size int64, what contents, sealed bool) (stored, error) {
	name := folder(fmt.Sprintf("%s, %s, %s", mib(size), what.name, sealing(sealed)))
	if s, ok := all.made[name]; ok {
		return s, nil
	}
	s, err := makeStored(ctx, filepath.Join(all.dir, name), size, what, sealed)
	if err == nil {
		all.made[name] = s
	}
	return s, err
}

func makeStored(ctx context.Context, dir string, size int64, what contents, sealed bool) (s stored, err error) {
	if sealed {
		if s.keys, err = newKeys(); err != nil {
			return s, err
		}
	}
	s.dir = dir
	bucket, err := objstore.OpenDir(s.dir)
	if err != nil {
		return s, err
	}
	local := s.dir + "-local"
	defer os.RemoveAll(local)
	// Its pages come into the bucket as one object, at the end.
	h, db, rows, err := filled(ctx, hostOptions(local, s.keys, sqlite.Cold{Bucket: bucket, LogInterval: time.Hour}), size, what)
	if err != nil {
		return s, fmt.Errorf("filling a database of %s: %w", mib(size), err)
	}
	s.rows = rows
	_, err = db.Snapshot(ctx, sqlite.SnapshotOptions{})
	return s, errors.Join(err, h.Close(ctx))
}

// fork gives a bucket's objects to another bucket, which may go on otherwise.
func (s stored) fork(dir string) (objstore.Bucket, error) {
	err := filepath.WalkDir(s.dir, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(name, s.dir))
		if d.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		return os.Link(name, to) // objects are replaced, never changed
	})
	if err != nil {
		return nil, err
	}
	return objstore.OpenDir(dir)
}

// adopted is a host that goes on with a bucket's database on an empty disk.
type adopted struct {
	*sqlite.Host
	db     *sqlite.DB
	sql    *sql.DB
	bucket *toll
	dir    string
	took   time.Duration // sqlite.Open
	opened count         // what that asked of the bucket
}

// adopt opens one. Nothing is uploaded by itself.
func (s stored) adopt(ctx context.Context, latency time.Duration, cold sqlite.Cold) (a *adopted, err error) {
	dir, err := os.MkdirTemp(filepath.Dir(s.dir), "adopted-")
	if err != nil {
		return nil, err
	}
	a = &adopted{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	bucket, err := s.fork(filepath.Join(dir, "bucket"))
	if err != nil {
		return nil, err
	}
	a.bucket = &toll{Bucket: bucket, latency: latency}
	cold.Bucket, cold.Adopt = a.bucket, true
	if cold.LogInterval == 0 {
		cold.LogInterval = time.Hour
	}
	began := time.Now()
	if a.Host, err = sqlite.Open(ctx, hostOptions(filepath.Join(dir, "local"), s.keys, cold)); err != nil {
		return nil, err
	}
	a.took, a.opened = time.Since(began), a.bucket.count()
	if a.db, err = a.DB(coldName); err != nil {
		return nil, errors.Join(err, a.Host.Close(ctx))
	}
	a.sql = sql.OpenDB(a.db.Connector())
	return a, nil
}

// end leaves nothing.
func (a *adopted) end(ctx context.Context) error {
	a.bucket.latency = 0
	return errors.Join(a.sql.Close(), a.Host.Close(ctx), os.RemoveAll(a.dir))
}

// took is how long something took, and how long of that this process had a core.
type took struct{ wall, cpu time.Duration }

func timed(do func() error) (took, error) {
	began, had := time.Now(), cpu()
	err := do()
	return took{time.Since(began), cpu() - had}, err
}

// workDir is a folder for a section's databases.
func workDir() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "bop-bench-")
	return dir, func() { os.RemoveAll(dir) }, err
}

// mib is a number of bytes to print.
func mib(n int64) string { return fmt.Sprintf("%d MiB", (n+1<<19)>>20) }

// sealing names the two ways to keep a database.
func sealing(sealed bool) string {
	if sealed {
		return "encrypted"
	}
	return "in the clear"
}
