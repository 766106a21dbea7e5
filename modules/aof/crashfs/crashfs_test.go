package crashfs

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/bop-platform/bop/modules/aof/fsys"
)

func create(t *testing.T, f *FS, name string) fsys.File {
	t.Helper()
	x, err := f.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func content(t *testing.T, f *FS, name string) []byte {
	t.Helper()
	x, err := f.OpenFile(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	n, _ := x.Size()
	b := make([]byte, n)
	x.ReadAt(b, 0)
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, x fsys.File, off int64, b []byte) {
	t.Helper()
	if _, err := x.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

func TestCrash(t *testing.T) {
	setup := func(t *testing.T) (*FS, fsys.File) {
		f := New()
		must(t, f.MkdirAll("/d", 0o700))
		x := create(t, f, "/d/a")
		write(t, x, 0, bytes.Repeat([]byte{1}, 2*Sector))
		must(t, x.Sync())
		must(t, f.SyncDir("/d"))
		return f, x
	}
	t.Run("synced bytes survive every crash", func(t *testing.T) {
		f, x := setup(t)
		write(t, x, 2*Sector, bytes.Repeat([]byte{2}, 3*Sector))
		for mode, image := range f.Images(20) {
			if got := content(t, image, "/d/a"); len(got) < 2*Sector || !bytes.Equal(got[:2*Sector], bytes.Repeat([]byte{1}, 2*Sector)) {
				t.Fatalf("%s: synced bytes are gone", mode)
			}
		}
	})
	t.Run("unsynced bytes can be lost, kept, torn and reordered", func(t *testing.T) {
		f, x := setup(t)
		write(t, x, 0, bytes.Repeat([]byte{2}, 2*Sector))
		seen := map[[2]byte]bool{}
		for _, image := range f.Images(40) {
			got := content(t, image, "/d/a")
			seen[[2]byte{got[0], got[Sector]}] = true
		}
		for _, want := range [][2]byte{{1, 1}, {2, 2}, {2, 1}, {1, 2}} {
			if !seen[want] {
				t.Errorf("no image has the sectors %v", want)
			}
		}
	})
	t.Run("a name that was not synced can be lost although the file was", func(t *testing.T) {
		f, _ := setup(t)
		x := create(t, f, "/d/b")
		write(t, x, 0, []byte("hello"))
		must(t, x.Sync())
		if content(t, f.Image(Lost, 0), "/d/b") != nil {
			t.Fatal("the name survived")
		}
		if string(content(t, f.Image(Kept, 0), "/d/b")) != "hello" {
			t.Fatal("the file is not there when everything is kept")
		}
	})
	t.Run("a rename is one change", func(t *testing.T) {
		f, _ := setup(t)
		must(t, f.Rename("/d/a", "/d/c"))
		for mode, image := range f.Images(20) {
			if n := len(image.Files("/d/")); n != 1 {
				t.Fatalf("%s: %d names", mode, n)
			}
		}
	})
	t.Run("the operation at the crash point fails and may have happened", func(t *testing.T) {
		f, x := setup(t)
		f.CrashAt(f.Ops() + 1)
		if _, err := x.WriteAt([]byte{9}, 0); !errors.Is(err, ErrCrashed) {
			t.Fatalf("got %v", err)
		}
		if err := x.Sync(); !errors.Is(err, ErrCrashed) {
			t.Fatalf("after the crash: %v", err)
		}
		if content(t, f.Image(Lost, 0), "/d/a")[0] != 1 || content(t, f.Image(Kept, 0), "/d/a")[0] != 9 {
			t.Fatal("the write is not undecided")
		}
	})
	t.Run("a sector that has a later write has the earlier ones too", func(t *testing.T) {
		f, x := setup(t)
		write(t, x, 0, []byte{3})
		write(t, x, 1, []byte{4})
		for mode, image := range f.Images(40) {
			if got := content(t, image, "/d/a"); got[1] == 4 && got[0] != 3 {
				t.Fatalf("%s: the sector begins with %v", mode, got[:2])
			}
		}
	})
	t.Run("the same seed gives the same image", func(t *testing.T) {
		f, x := setup(t)
		write(t, x, 100, bytes.Repeat([]byte{7}, 10*Sector))
		for seed := range uint64(10) {
			a, b := f.Image(Reordered, seed), f.Image(Reordered, seed)
			if !bytes.Equal(content(t, a, "/d/a"), content(t, b, "/d/a")) {
				t.Fatal("two images differ")
			}
		}
	})
}

func TestFaults(t *testing.T) {
	f := New()
	must(t, f.MkdirAll("/d", 0o700))
	x := create(t, f, "/d/a")
	must(t, f.SyncDir("/d"))
	t.Run("bytes of a failed sync are read back but no later sync saves them", func(t *testing.T) {
		write(t, x, 0, []byte{5})
		f.Inject(func(op Op) error {
			if op.Kind == Sync {
				return syscall.EIO
			}
			return nil
		})
		if err := x.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("got %v", err)
		}
		f.Inject(nil)
		must(t, x.Sync())
		if content(t, f, "/d/a")[0] != 5 {
			t.Fatal("not read back")
		}
		if len(content(t, f.Image(Lost, 0), "/d/a")) != 0 {
			t.Fatal("saved by a later sync")
		}
	})
	t.Run("bytes of a failed sync don't come back over bytes that a later sync saved", func(t *testing.T) {
		f := New()
		must(t, f.MkdirAll("/d", 0o700))
		y := create(t, f, "/d/y")
		must(t, f.SyncDir("/d"))
		write(t, y, 0, bytes.Repeat([]byte{1}, 3*Sector))
		f.Inject(func(op Op) error {
			if op.Kind == Sync {
				return syscall.EIO
			}
			return nil
		})
		if err := y.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("got %v", err)
		}
		f.Inject(nil)
		write(t, y, Sector+7, []byte{2})
		must(t, y.Sync())
		lost := false
		for mode, image := range f.Images(40) {
			got := content(t, image, "/d/y")
			if got[Sector+7] != 2 || got[Sector+6] != 1 {
				t.Fatalf("%s: the saved sector has %v", mode, got[Sector+6:Sector+8])
			}
			lost = lost || got[0] == 0
		}
		if !lost {
			t.Error("no image lacks what the failed sync gave up")
		}
	})
	t.Run("a full disk takes what fits and says so", func(t *testing.T) {
		f.SetCapacity(4)
		n, err := x.WriteAt([]byte("123456"), 0)
		if n != 4 || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("wrote %d, %v", n, err)
		}
		if err := x.Allocate(100); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("allocate: %v", err)
		}
		f.SetCapacity(0)
		must(t, x.Allocate(100))
	})
	t.Run("a short write happens in part", func(t *testing.T) {
		f.Inject(func(op Op) error { return &ShortWrite{2, syscall.EIO} })
		n, err := x.WriteAt([]byte("abcd"), 10)
		f.Inject(nil)
		if n != 2 || !errors.Is(err, syscall.EIO) || string(content(t, f, "/d/a")[10:14]) != "ab\x00\x00" {
			t.Fatalf("wrote %d, %v", n, err)
		}
	})
	t.Run("a folder can be locked once", func(t *testing.T) {
		l, err := f.Lock("/d")
		must(t, err)
		if _, err := f.Lock("/d"); !errors.Is(err, fsys.ErrLocked) {
			t.Fatalf("got %v", err)
		}
		must(t, l.Close())
		_, err = f.Lock("/d")
		must(t, err)
	})
}
