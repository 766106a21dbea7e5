package runlog

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func names(t *testing.T, dir string) (s []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		s = append(s, e.Name())
	}
	return s
}

func TestRotation(t *testing.T) {
	t.Run("by size", func(t *testing.T) {
		l := open(t, t.TempDir(), Options{MaxBytes: 1000, MaxFiles: 100})
		w := l.Writer("r", Out)
		for i := range 100 {
			write(t, w, fmt.Sprintf("line %d\n", i))
		}
		for _, name := range names(t, l.dir) {
			if info, err := os.Stat(filepath.Join(l.dir, name)); err != nil || info.Size() > 1000 {
				t.Errorf("%s: %v %v", name, info, err)
			}
		}
		if n := len(names(t, l.dir)); n < 6 || n > 12 {
			t.Errorf("%d files", n)
		}
	})
	t.Run("by age, with a write or Tidy", func(t *testing.T) {
		clock := newClock()
		l := open(t, t.TempDir(), Options{MaxAge: time.Hour, Clock: clock.now})
		w := l.Writer("r", Out)
		files := func(want int) {
			t.Helper()
			if got := names(t, l.dir); len(got) != want {
				t.Fatalf("%q, want %d", got, want)
			}
		}
		write(t, w, "a\n")
		clock.add(59 * time.Minute)
		write(t, w, "b\n")
		files(1)
		clock.add(time.Minute)
		write(t, w, "c\n")
		files(2)
		clock.add(time.Hour)
		for range 2 { // an empty file isn't rotated
			if err := l.Tidy(); err != nil {
				t.Fatal(err)
			}
			files(3)
			clock.add(time.Hour)
		}
		expect(t, l.Read(Query{}), "a b c")
	})
	t.Run("the age of a file is known after reopening", func(t *testing.T) {
		clock := newClock()
		o := Options{MaxAge: time.Hour, Clock: clock.now}
		l := open(t, t.TempDir(), o)
		write(t, l.Writer("r", Out), "a\n")
		closeLog(t, l)
		clock.add(time.Hour)
		l = open(t, l.dir, o)
		write(t, l.Writer("r", Out), "b\n")
		if got := names(t, l.dir); len(got) != 2 {
			t.Fatal(got)
		}
	})
	t.Run("rotated files are compressed", func(t *testing.T) {
		l := open(t, t.TempDir(), Options{MaxBytes: 1, Compress: true})
		w := l.Writer("r", Out)
		write(t, w, "a\n")
		write(t, w, "b\n")
		settle(l)
		if got := fmt.Sprint(names(t, l.dir)); got != "[0000000000000001.log.zst 0000000000000002.log]" {
			t.Fatal(got)
		}
		expect(t, l.Read(Query{}), "a b")
	})
}

func TestRetention(t *testing.T) {
	for _, compress := range []bool{false, true} {
		t.Run(fmt.Sprintf("by number, a slow reader gets a gap, compress %v", compress), func(t *testing.T) {
			l := open(t, t.TempDir(), Options{MaxBytes: 1, MaxFiles: 3, Compress: compress})
			w := l.Writer("r", Out)
			write(t, w, "1\n")
			c := l.Read(Query{Follow: true})
			defer c.Close()
			d := ReadDir(l.dir, Query{Follow: true})
			defer d.Close()
			for _, c := range []*Cursor{c, d} {
				if r, err := c.Next(t.Context()); err != nil || string(r.Data) != "1" {
					t.Fatal(r, err)
				}
			}
			for i := 2; i <= 9; i++ {
				write(t, w, fmt.Sprintln(i))
				if i == 5 {
					settle(l)
				}
			}
			settle(l)
			if n := len(names(t, l.dir)); n != 3 {
				t.Fatalf("%q", names(t, l.dir))
			}
			for _, c := range []*Cursor{c, d} {
				r, err := c.Next(t.Context())
				if err != nil || r.Gap == nil || *r.Gap != (Gap{2, 6, Removed}) {
					t.Fatal(r, err)
				}
				if r, err := c.Next(t.Context()); err != nil || string(r.Data) != "7" || r.Sequence != 7 {
					t.Fatal(r, err)
				}
			}
			expect(t, l.Read(Query{}), "7 8 9")
			expect(t, l.Read(Query{From: 3}), "[3-6 removed by retention] 7 8 9")
			expect(t, l.Read(Query{Tail: 2}), "8 9")
		})
	}
	t.Run("by age", func(t *testing.T) {
		clock := newClock()
		o := Options{MaxBytes: 1, Keep: time.Hour, Clock: clock.now}
		l := open(t, t.TempDir(), o)
		w := l.Writer("r", Out)
		for _, s := range []string{"a\n", "b\n", "c\n"} {
			write(t, w, s)
			clock.add(25 * time.Minute)
		}
		expect(t, l.Read(Query{}), "a b c")
		clock.add(11 * time.Minute) // b was begun 61 minutes ago, so a ended then
		if err := l.Tidy(); err != nil {
			t.Fatal(err)
		}
		expect(t, l.Read(Query{}), "b c")
		closeLog(t, l)
		clock.add(time.Hour)
		l = open(t, l.dir, o)
		expect(t, l.Read(Query{}), "c") // the file that is written stays
	})
	t.Run("a reader goes on in a file that was removed beneath it", func(t *testing.T) {
		l := open(t, t.TempDir(), Options{MaxBytes: 200, MaxFiles: 1})
		w := l.Writer("r", Out)
		write(t, w, "1\n2\n3\n")
		c := l.Read(Query{Follow: true})
		defer c.Close()
		if r, err := c.Next(t.Context()); err != nil || string(r.Data) != "1" {
			t.Fatal(r, err)
		}
		for i := 4; i < 20; i++ {
			write(t, w, fmt.Sprintln(i))
		}
		for _, want := range []string{"2", "3"} {
			if r, err := c.Next(t.Context()); err != nil || string(r.Data) != want {
				t.Fatal(r, err)
			}
		}
	})
}
