package runlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// sample writes a small log of blocks with 1 to 3 lines and returns its folder and file.
func sample(t *testing.T, o Options) (dir string, file []byte) {
	t.Helper()
	dir = t.TempDir()
	l := open(t, dir, o)
	w := l.Writer("run-1", Out)
	e := l.Writer("run-2", Err)
	n := 0
	for i := range 6 {
		var chunk []byte
		for range i%3 + 1 {
			n++
			chunk = fmt.Appendf(chunk, "line %d\n", n)
		}
		if i%2 == 0 {
			write(t, w, string(chunk))
		} else {
			write(t, e, string(chunk))
		}
	}
	closeLog(t, l)
	file, err := os.ReadFile(rawPath(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	return dir, file
}

// checkSample fails unless numbers 1 to n are lines as written, or gaps. A gap without end stands for all the rest.
func checkSample(t *testing.T, what string, records []Record, n uint64) (gaps int) {
	t.Helper()
	next := uint64(1)
	for _, r := range records {
		if r.Sequence != next {
			t.Fatalf("%s: number %d where %d should be", what, r.Sequence, next)
		}
		if r.Gap != nil {
			gaps++
			if next = r.Gap.To + 1; r.Gap.To == 0 {
				next = n + 1
			}
			continue
		}
		if string(r.Data) != fmt.Sprint("line ", next) || r.Flags != 0 {
			t.Fatalf("%s: %d is %q", what, next, r.Data)
		}
		next++
	}
	if next != n+1 {
		t.Fatalf("%s: ended at %d", what, next)
	}
	return gaps
}

func TestDamage(t *testing.T) {
	const lines = 12
	t.Run("every changed byte gives the same records or a gap", func(t *testing.T) {
		dir, file := sample(t, Options{})
		path := rawPath(dir, 1)
		for i := range file {
			for _, mask := range []byte{0xff, 1 << (i % 8)} {
				bad := bytes.Clone(file)
				bad[i] ^= mask
				if err := os.WriteFile(path, bad, 0o600); err != nil {
					t.Fatal(err)
				}
				what := fmt.Sprint("byte ", i)
				gaps := checkSample(t, what, all(t, ReadDir(dir, Query{})), lines)
				if inHeader := i < fileHeaderSize; inHeader == (gaps > 0) {
					t.Fatalf("%s: %d gaps", what, gaps)
				}
			}
		}
	})
	t.Run("a log goes on behind damage, with new numbers", func(t *testing.T) {
		_, file := sample(t, Options{})
		for i := 0; i < len(file); i += 3 {
			dir := t.TempDir()
			bad := bytes.Clone(file)
			bad[i] ^= 0x10
			if err := os.WriteFile(rawPath(dir, 1), bad, 0o600); err != nil {
				t.Fatal(err)
			}
			l := open(t, dir, Options{})
			// Only damage in the last block's head is taken for a torn end.
			n := l.Next()
			if n != lines+1 && n != lines-2+1 {
				t.Fatalf("byte %d: goes on at %d", i, n)
			}
			write(t, l.Writer("r", Sys), fmt.Sprintf("line %d\n", n))
			checkSample(t, fmt.Sprint("byte ", i), all(t, l.Read(Query{})), n)
			closeLog(t, l)
		}
	})
	t.Run("a write that was torn at any byte is cut off and recorded", func(t *testing.T) {
		_, file := sample(t, Options{})
		ends := map[int]uint64{fileHeaderSize: 1} // where blocks end, and what comes next
		s := scanner{src: bytes.NewReader(file), limit: int64(len(file)), first: 1}
		for {
			h, st, err := s.peek()
			if err != nil || st != ready {
				break
			}
			s.skip(h)
			ends[int(s.off)] = h.end()
		}
		next := uint64(1)
		for cut := range len(file) + 1 {
			if n, ok := ends[cut]; ok {
				next = n
			}
			dir := t.TempDir()
			if err := os.WriteFile(rawPath(dir, 1), file[:cut], 0o600); err != nil {
				t.Fatal(err)
			}
			if got := len(all(t, ReadDir(dir, Query{}))); got != int(next)-1 {
				t.Fatalf("cut at %d: a reader sees %d records, want %d", cut, got, next-1)
			}
			l := open(t, dir, Options{})
			_, whole := ends[cut]
			n := next
			if !whole && cut > fileHeaderSize {
				n++ // the gap's number
			}
			if l.Next() != n {
				t.Fatalf("cut at %d: next is %d, want %d", cut, l.Next(), n)
			}
			write(t, l.Writer("r", Sys), fmt.Sprintf("line %d\n", n))
			records := all(t, l.Read(Query{}))
			if gaps := checkSample(t, fmt.Sprint("cut at ", cut), records, n); gaps != int(n-next) {
				t.Fatalf("cut at %d: %d gaps", cut, gaps)
			}
			if n > next && records[next-1].Gap.Reason != Torn {
				t.Fatalf("cut at %d: %v", cut, records[next-1].Gap)
			}
			closeLog(t, l)
		}
	})
	t.Run("what a process prints is never taken for a block", func(t *testing.T) {
		dir, file := sample(t, Options{})
		l := open(t, dir, Options{})
		w := l.Writer("r", Out)
		write(t, w, string(file)+"\n") // a process that prints the log itself
		end := l.Next()
		write(t, w, "behind\n")
		closeLog(t, l)
		file, err := os.ReadFile(rawPath(dir, 1))
		if err != nil {
			t.Fatal(err)
		}
		s := scanner{src: bytes.NewReader(file), limit: int64(len(file)), first: 1}
		for {
			h, st, err := s.peek()
			if err != nil || st != ready {
				t.Fatal(st, err)
			}
			if h.first > lines {
				break
			}
			s.skip(h)
		}
		file[s.off+20] ^= 1
		if err := os.WriteFile(rawPath(dir, 1), file, 0o600); err != nil {
			t.Fatal(err)
		}
		expect(t, ReadDir(dir, Query{From: lines + 1}), fmt.Sprintf("[%d-%d damaged] behind", lines+1, end-1))
	})
	t.Run("every changed byte of a compressed file gives the same records or a gap", func(t *testing.T) {
		dir, _ := sample(t, Options{})
		l := open(t, dir, Options{Compress: true, MaxBytes: 1})
		write(t, l.Writer("r", Out), "line 13\n")
		settle(l)
		closeLog(t, l)
		path := zstPath(dir, 1)
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range file {
			bad := bytes.Clone(file)
			bad[i] ^= 0x21
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			checkSample(t, fmt.Sprint("byte ", i), all(t, ReadDir(dir, Query{})), 13)
		}
	})
	t.Run("a newer format is refused", func(t *testing.T) {
		dir := t.TempDir()
		b := fileHeader{first: 1}.append(nil)
		b[8] = 2
		le.PutUint32(b[36:], crc(b[:36]))
		if err := os.WriteFile(rawPath(dir, 1), b, 0o600); err != nil {
			t.Fatal(err)
		}
		var newer *NewerFormatError
		if _, err := Open(dir, Options{}); !errors.As(err, &newer) || newer.Found != 2 || !errors.Is(err, ErrNewerFormat) {
			t.Fatal(err)
		}
		if _, err := ReadDir(dir, Query{}).Next(t.Context()); !errors.Is(err, ErrNewerFormat) {
			t.Fatal(err)
		}
	})
	t.Run("a compression that was interrupted is finished", func(t *testing.T) {
		for _, both := range []bool{true, false} {
			dir, _ := sample(t, Options{})
			tmp := filepath.Join(dir, "0000000000000001.log.zst.tmp")
			if both {
				tmp = zstPath(dir, 1)
			}
			if err := compress(rawPath(dir, 1), tmp); err != nil {
				t.Fatal(err)
			}
			l := open(t, dir, Options{Compress: true, MaxBytes: 1})
			write(t, l.Writer("r", Out), "line 13\n")
			settle(l)
			checkSample(t, fmt.Sprint(both), all(t, l.Read(Query{})), 13)
			closeLog(t, l)
			files, tmps, err := list(dir)
			if err != nil || len(tmps) != 0 || len(files) != 2 || files[0].raw || !files[0].zst {
				t.Fatal(files, tmps, err)
			}
		}
	})
}

func FuzzDecoder(f *testing.F) {
	dir := f.TempDir()
	l := open(f, dir, Options{})
	w := l.Writer("r", Out)
	io.WriteString(w, "a\nb\n")
	io.WriteString(w, "c\n")
	l.Close()
	file, err := os.ReadFile(rawPath(dir, 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file, false)
	f.Add(file[fileHeaderSize+blockHeadSize:], true)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, wrap bool) {
		if wrap { // a body behind a head that is right
			m := marker{1, 2, 3}
			body := b[:min(len(b), maxBody)]
			h := blockHead{size: uint32(len(body)), crc: crc(body), first: 1, count: 3, stream: Out, run: uint8(min(len(body), 1))}
			b = append(fileHeader{first: 1, marker: m}.append(nil), make([]byte, blockHeadSize)...)
			h.put(b[fileHeaderSize:], m)
			b = append(b, body...)
		}
		dir := t.TempDir()
		if err := os.WriteFile(rawPath(dir, 1), b, 0o600); err != nil {
			t.Fatal(err)
		}
		c := ReadDir(dir, Query{Join: true})
		last := uint64(0)
		for {
			r, err := c.Next(t.Context())
			if err == io.EOF || errors.Is(err, ErrNewerFormat) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Sequence < last {
				t.Fatalf("%d after %d", r.Sequence, last)
			}
			last = r.Sequence
		}
	})
}
