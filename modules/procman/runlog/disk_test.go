package runlog

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// disk refuses as it is told.
type disk struct {
	mu       sync.Mutex
	err      error // of writes and of new files
	partial  int   // bytes that a refused write leaves
	truncate error
}

func (d *disk) set(err, truncate error, partial int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err, d.truncate, d.partial = err, truncate, partial
}

func (d *disk) open(path string, create bool) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if create && d.err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: d.err}
	}
	f, err := openFile(path, create)
	return &diskFile{f, d}, err
}

type diskFile struct {
	file
	d *disk
}

func (f *diskFile) Write(b []byte) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.err == nil {
		return f.file.Write(b)
	}
	n, err := f.file.Write(b[:min(f.d.partial, len(b))])
	return n, errors.Join(err, f.d.err)
}

func (f *diskFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.truncate != nil {
		return f.d.truncate
	}
	return f.file.Truncate(size)
}

func TestDiskRefuses(t *testing.T) {
	for _, c := range []struct {
		name     string
		err      error
		truncate error
		partial  int
		reason   string
	}{
		{"a full disk gives a recorded gap", syscall.ENOSPC, nil, 0, "disk full"},
		{"a write that was half done is cut off", syscall.ENOSPC, nil, 51, "disk full"},
		{"a write that cannot be cut off is cut off later", syscall.EIO, syscall.EIO, 51, "write failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &disk{}
			l := open(t, t.TempDir(), Options{open: d.open})
			w := l.Writer("r", Out)
			write(t, w, "a\nb\n")
			follower := l.Read(Query{Follow: true})
			defer follower.Close()
			d.set(c.err, c.truncate, c.partial)
			write(t, w, "c\nd\n")
			write(t, l.Writer("s", Err), "e\n")
			if n := l.Dropped(); n != 3 {
				t.Fatalf("dropped %d", n)
			}
			expect(t, l.Read(Query{}), "a b")
			expect(t, ReadDir(l.dir, Query{}), "a b")
			d.set(nil, nil, 0)
			write(t, w, "f\n")
			want := fmt.Sprintf("a b [3-5 %s] f", c.reason)
			expect(t, l.Read(Query{}), want)
			expect(t, ReadDir(l.dir, Query{}), want)
			for i := uint64(1); i <= 6; i++ {
				r, err := follower.Next(t.Context())
				if err != nil || r.Sequence != i {
					t.Fatal(r, err)
				}
				if r.Gap != nil {
					i = r.Gap.To
				}
			}
			if l.Next() != 7 || l.Dropped() != 3 {
				t.Fatal(l.Next(), l.Dropped())
			}
			closeLog(t, l)
			l = open(t, l.dir, Options{})
			expect(t, l.Read(Query{}), want)
		})
	}
	t.Run("a log can be begun on a full disk", func(t *testing.T) {
		d := &disk{}
		d.set(syscall.ENOSPC, nil, 0)
		l := open(t, t.TempDir(), Options{open: d.open})
		w := l.Writer("r", Out)
		write(t, w, "a\nb\n")
		d.set(nil, nil, 0)
		write(t, w, "c\n")
		expect(t, l.Read(Query{From: 1}), "[1-2 disk full] c")
	})
	t.Run("a gap is recorded at Close at the latest", func(t *testing.T) {
		d := &disk{}
		l := open(t, t.TempDir(), Options{open: d.open})
		w := l.Writer("r", Out)
		write(t, w, "a\n")
		d.set(syscall.ENOSPC, nil, 0)
		write(t, w, "b\n")
		if err := l.Sync(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		d.set(nil, nil, 0)
		closeLog(t, l)
		expect(t, ReadDir(l.dir, Query{}), "a [2-2 disk full]")
	})
	t.Run("a file that cannot be rotated grows on", func(t *testing.T) {
		refuse := false
		l := open(t, t.TempDir(), Options{MaxBytes: 1, open: func(path string, create bool) (file, error) {
			if refuse && create {
				return nil, syscall.EMFILE
			}
			return openFile(path, create)
		}})
		w := l.Writer("r", Out)
		write(t, w, "a\n")
		refuse = true
		write(t, w, "b\n")
		refuse = false
		write(t, w, "c\n")
		expect(t, l.Read(Query{}), "a b c")
		if n := len(names(t, l.dir)); n != 2 || l.Dropped() != 0 {
			t.Fatal(n, l.Dropped())
		}
	})
}

// TestFullFileSystem does it with a real file system of 1 MiB.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("a tmpfs cannot be mounted here: %v: %s", err, strings.TrimSpace(string(out)))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 512<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, filepath.Join(dir, "log"), Options{MaxBytes: 100 << 10, MaxFiles: 100})
	w := l.Writer("r", Out)
	const lines = 20000
	for i := range lines / 100 {
		var b strings.Builder
		for k := range 100 {
			fmt.Fprintf(&b, "line %d %s\n", i*100+k+1, strings.Repeat("x", 60))
		}
		write(t, w, b.String())
	}
	dropped := l.Dropped()
	if dropped == 0 || dropped == lines {
		t.Fatalf("dropped %d", dropped)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	write(t, w, fmt.Sprintf("line %d\n", lines+1))
	if l.Dropped() != dropped {
		t.Fatal("the disk has room and refuses")
	}
	next, missing := uint64(1), uint64(0)
	for _, r := range all(t, l.Read(Query{})) {
		if r.Sequence != next {
			t.Fatalf("%d, want %d", r.Sequence, next)
		}
		if next++; r.Gap != nil {
			next = r.Gap.To + 1
			missing += next - r.Gap.From
			if r.Gap.Reason != DiskFull {
				t.Fatal(r.Gap)
			}
		} else if !strings.HasPrefix(string(r.Data), fmt.Sprintf("line %d", r.Sequence)) {
			t.Fatalf("%d is %q", r.Sequence, r.Data)
		}
	}
	if next != lines+2 || missing != dropped {
		t.Fatalf("ended at %d, %d are missing, %d were dropped", next, missing, dropped)
	}
	closeLog(t, l)
}
