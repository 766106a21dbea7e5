package fsys_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/bop-platform/bop/modules/aof/fsys"
)

func TestOS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := fsys.OS.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "file")
	t.Run("reserved space reads as zeros, and reserving never shrinks", func(t *testing.T) {
		f, err := fsys.OS.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("hello"), 0); err != nil {
			t.Fatal(err)
		}
		for _, size := range []int64{10000, 100} {
			if err := f.Allocate(size); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := f.Size(); err != nil || n != 10000 {
			t.Fatalf("size %d, %v", n, err)
		}
		b := make([]byte, 10000)
		if _, err := f.ReadAt(b, 0); err != nil || string(b[:5]) != "hello" || slices.Max(b[5:]) != 0 {
			t.Fatalf("read %q…, %v", b[:5], err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("names are arranged and listed in order", func(t *testing.T) {
		if err := fsys.OS.Rename(name, filepath.Join(dir, "z")); err != nil {
			t.Fatal(err)
		}
		f, err := fsys.OS.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := fsys.OS.SyncDir(dir); err != nil {
			t.Fatal(err)
		}
		if names, err := fsys.OS.ReadDir(dir); err != nil || !slices.Equal(names, []string{"file", "z"}) {
			t.Fatalf("%v, %v", names, err)
		}
		if err := fsys.OS.Remove(name); err != nil {
			t.Fatal(err)
		}
		if _, err := fsys.OS.OpenFile(name, os.O_RDONLY, 0); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a folder is locked once, until the lock is closed", func(t *testing.T) {
		l, err := fsys.OS.Lock(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fsys.OS.Lock(dir); !errors.Is(err, fsys.ErrLocked) {
			t.Fatalf("got %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if l, err = fsys.OS.Lock(dir); err != nil {
			t.Fatal(err)
		}
		l.Close()
	})
}
