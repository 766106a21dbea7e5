package objstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/faulty"
	"github.com/bop-platform/bop/modules/aof/objstore/objtest"
)

func dir(t *testing.T) objstore.Bucket {
	b, err := objstore.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMemory(t *testing.T) {
	objtest.Run(t, func(*testing.T) objstore.Bucket { return objstore.NewMemory() }, objtest.Options{})
}

func TestPrefix(t *testing.T) {
	objtest.Run(t, func(*testing.T) objstore.Bucket { return objstore.Prefix(objstore.NewMemory(), "/some/where/") }, objtest.Options{})
}

func TestDir(t *testing.T) {
	objtest.Run(t, dir, objtest.Options{Many: 100, NoMetadata: true})
	t.Run("what a crash left half-written isn't an object", func(t *testing.T) {
		path := t.TempDir()
		b, err := objstore.OpenDir(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, ".tmp-123"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		for info, err := range b.List(t.Context(), "", "") {
			t.Errorf("%+v %v", info, err)
		}
	})
	t.Run("files are the owner's alone", func(t *testing.T) {
		path := t.TempDir()
		b, _ := objstore.OpenDir(path)
		if _, err := b.Put(t.Context(), "a/b", strings.NewReader("x"), 1, objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(filepath.Join(path, "a", "b"))
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Error(st.Mode(), err)
		}
	})
}

func TestPlainDir(t *testing.T) {
	objtest.Run(t, func(t *testing.T) objstore.Bucket {
		b, err := objstore.OpenPlainDir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return b
	}, objtest.Options{Many: 100, NoMetadata: true})
	path := t.TempDir()
	b, err := objstore.OpenPlainDir(path)
	if err != nil {
		t.Fatal(err)
	}
	made := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
	t.Run("an object is a file that others read", func(t *testing.T) {
		o := objstore.PutOptions{Created: made}
		if _, err := b.Put(t.Context(), "ltx/0/put", strings.NewReader("content"), 7, o); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Upload(t.Context(), "ltx/0/uploaded", strings.NewReader("content"), o); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"ltx/0/put", "ltx/0/uploaded"} {
			st, err := os.Stat(filepath.Join(path, key))
			if err != nil || !st.ModTime().Equal(made) {
				t.Error(st.ModTime(), err)
			}
			if got, err := os.ReadFile(filepath.Join(path, key)); err != nil || string(got) != "content" {
				t.Errorf("%q %v", got, err)
			}
		}
	})
	t.Run("a file that others wrote is an object", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(path, "ltx/0/theirs"), []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
		body, info, err := b.Get(t.Context(), "ltx/0/theirs", 3, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		if got, err := io.ReadAll(body); err != nil || string(got) != "tent" || info.Size != 7 {
			t.Errorf("%q %+v %v", got, info, err)
		}
	})
	t.Run("one that replaces another of the same length and time has another ETag", func(t *testing.T) {
		var etags [2]string
		for i := range etags {
			info, err := b.Put(t.Context(), "x", strings.NewReader("content"), 7, objstore.PutOptions{Created: made})
			if err != nil {
				t.Fatal(err)
			}
			etags[i] = info.ETag
		}
		if etags[0] == etags[1] {
			t.Error(etags)
		}
	})
	t.Run("a folder of the other kind has no objects with a trailer", func(t *testing.T) {
		other, err := objstore.OpenDir(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Head(t.Context(), "x"); !errors.Is(err, objstore.ErrChecksum) {
			t.Error(err)
		}
	})
}

// always fails the first requests of each operation.
func failing(first int, with faulty.Fault) func(faulty.Call) faulty.Fault {
	return func(c faulty.Call) faulty.Fault {
		if c.N < first {
			return with
		}
		return faulty.Fault{}
	}
}

func TestRetry(t *testing.T) {
	down := objstore.ErrUnavailable
	var slept []time.Duration
	o := objstore.RetryOptions{Attempts: 4, First: 10 * time.Millisecond, Sleep: func(_ context.Context, d time.Duration) error {
		slept = append(slept, d)
		return nil
	}}
	objtest.Run(t, func(*testing.T) objstore.Bucket {
		return objstore.Retry(faulty.New(objstore.NewMemory(), func(c faulty.Call) faulty.Fault {
			switch {
			case c.Op == "get" && c.N%3 == 0:
				return faulty.Fault{Cut: 500}
			case c.N%5 == 0:
				return faulty.Fault{Before: down}
			}
			return faulty.Fault{}
		}), objstore.RetryOptions{Attempts: 100, Sleep: func(context.Context, time.Duration) error { return nil }})
	}, objtest.Options{Many: 200})
	put := func(b objstore.Bucket, o objstore.PutOptions) (objstore.Info, error) {
		return b.Put(t.Context(), "x", strings.NewReader("content"), 7, o)
	}
	t.Run("it gives up after its attempts, with growing waits", func(t *testing.T) {
		slept = nil
		f := faulty.New(objstore.NewMemory(), failing(10, faulty.Fault{Before: down}))
		_, err := put(objstore.Retry(f, o), objstore.PutOptions{})
		if !errors.Is(err, down) || f.Count("put") != 4 || len(slept) != 3 {
			t.Error(err, f.Count("put"), slept)
		}
		for i, d := range slept {
			if d > 10*time.Millisecond<<i {
				t.Errorf("wait %d is %v", i, d)
			}
		}
	})
	t.Run("it gives up when its time is over", func(t *testing.T) {
		now := time.Unix(1000, 0)
		f := faulty.New(objstore.NewMemory(), failing(1000, faulty.Fault{Before: down}))
		_, err := put(objstore.Retry(f, objstore.RetryOptions{Attempts: 1000, Elapsed: time.Minute, Now: func() time.Time { return now },
			Sleep: func(context.Context, time.Duration) error { now = now.Add(20 * time.Second); return nil }}), objstore.PutOptions{})
		if n := f.Count("put"); !errors.Is(err, down) || n < 3 || n > 4 {
			t.Error(err, n)
		}
	})
	t.Run("other errors come back at once", func(t *testing.T) {
		f := faulty.New(objstore.NewMemory(), failing(10, faulty.Fault{Before: objstore.ErrDenied}))
		_, err := put(objstore.Retry(f, o), objstore.PutOptions{})
		if !errors.Is(err, objstore.ErrDenied) || f.Count("put") != 1 {
			t.Error(err)
		}
	})
	t.Run("a conditional put whose answer was lost has succeeded", func(t *testing.T) {
		m := objstore.NewMemory()
		b := objstore.Retry(faulty.New(m, failing(1, faulty.Fault{After: down})), o)
		first, err := put(b, objstore.PutOptions{IfAbsent: true})
		if err != nil {
			t.Fatal(err)
		}
		b = objstore.Retry(faulty.New(m, failing(1, faulty.Fault{After: down})), o)
		if _, err := put(b, objstore.PutOptions{IfMatch: first.ETag}); !errors.Is(err, objstore.ErrChanged) {
			t.Fatalf("a replacement can't be told from another writer's: %v", err)
		}
	})
	t.Run("but not if somebody else put another object", func(t *testing.T) {
		m := objstore.NewMemory()
		b := objstore.Retry(faulty.New(m, func(c faulty.Call) faulty.Fault {
			if c.Op == "put" && c.N == 0 {
				m.Put(context.Background(), "x", strings.NewReader("another"), 7, objstore.PutOptions{})
				return faulty.Fault{Before: down}
			}
			return faulty.Fault{}
		}), o)
		if _, err := put(b, objstore.PutOptions{IfAbsent: true}); !errors.Is(err, objstore.ErrExists) {
			t.Error(err)
		}
	})
	t.Run("a body that changes between two attempts isn't put together", func(t *testing.T) {
		m := objstore.NewMemory()
		long := bytes.Repeat([]byte("a"), 1000)
		m.Put(t.Context(), "x", bytes.NewReader(long), 1000, objstore.PutOptions{})
		b := objstore.Retry(faulty.New(m, func(c faulty.Call) faulty.Fault {
			if c.Op == "get" && c.N == 1 {
				m.Put(context.Background(), "x", bytes.NewReader(bytes.Repeat([]byte("b"), 1000)), 1000, objstore.PutOptions{})
			}
			if c.N == 0 {
				return faulty.Fault{Cut: 500}
			}
			return faulty.Fault{}
		}), o)
		body, _, err := b.Get(t.Context(), "x", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(body); !errors.Is(err, objstore.ErrChanged) {
			t.Error(err)
		}
	})
	t.Run("it ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := objstore.Retry(faulty.New(objstore.NewMemory(), failing(1000, faulty.Fault{Before: down})), objstore.RetryOptions{Attempts: 1000})
		cancel()
		if _, err := b.Head(ctx, "x"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
