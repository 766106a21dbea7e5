package aof_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/crashfs"
	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/seal"
)

// exported is a log's stream.
func exported(t testing.TB, l *aof.Log, from, until aof.Position) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := l.Export(t.Context(), &b, from, until, false); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestExportAndImport(t *testing.T) {
	source := tiered(t, t.TempDir(), alone(objstore.NewMemory()))
	fill(t, source, 420)
	until(t, source, "all cold", allCold(source))
	t.Run("the records come to the same positions, from whatever tier", func(t *testing.T) {
		l := tiered(t, t.TempDir(), nil)
		next, err := l.Import(t.Context(), bytes.NewReader(exported(t, source, 1, 0)))
		if err != nil || next != 421 {
			t.Fatal(next, err)
		}
		wantAll(t, l, 1, 420)
		if d := l.Durable(); d != 420 {
			t.Errorf("durable up to %d", d)
		}
	})
	t.Run("after a break at any byte it goes on from the log's end", func(t *testing.T) {
		stream := exported(t, source, 1, 60)
		for cut := 0; cut < len(stream); cut += 97 {
			disk := crashfs.New()
			l := tiered(t, "/log", func(o *aof.Options) { o.FS, o.Spare, o.System = disk, -1, system })
			next, err := l.Import(t.Context(), bytes.NewReader(stream[:cut]))
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("cut after %d bytes: %v", cut, err)
			}
			if next, err = l.Import(t.Context(), bytes.NewReader(exported(t, source, next, 60))); err != nil || next != 60 {
				t.Fatalf("cut after %d bytes: %d, %v", cut, next, err)
			}
			wantAll(t, l, 1, 59)
			l.Close()
		}
	})
	t.Run("what is there already is passed over", func(t *testing.T) {
		l := tiered(t, t.TempDir(), nil)
		fill(t, l, 33)
		if next, err := l.Import(t.Context(), bytes.NewReader(exported(t, source, 1, 0))); err != nil || next != 421 {
			t.Fatal(next, err)
		}
		wantAll(t, l, 1, 420)
	})
	t.Run("an empty log begins where the stream does", func(t *testing.T) {
		dir := t.TempDir()
		l := tiered(t, dir, nil)
		if next, err := l.Import(t.Context(), bytes.NewReader(exported(t, source, 200, 300))); err != nil || next != 300 {
			t.Fatal(next, err)
		}
		l.Close()
		l = tiered(t, dir, nil)
		wantAll(t, l, 200, 299)
		if _, err := l.ReadAt(t.Context(), 199); !errors.Is(err, aof.ErrTruncated) {
			t.Error(err)
		}
	})
	t.Run("a gap is refused and named", func(t *testing.T) {
		l := tiered(t, t.TempDir(), nil)
		fill(t, l, 10)
		_, err := l.Import(t.Context(), bytes.NewReader(exported(t, source, 20, 0)))
		var gap *aof.GapError
		if !errors.As(err, &gap) || gap.Next != 11 || gap.First != 20 {
			t.Fatal(err)
		}
	})
	t.Run("a flipped bit is found and nothing wrong is taken", func(t *testing.T) {
		stream := exported(t, source, 1, 20)
		for i := 0; i < len(stream); i += 13 {
			bad := bytes.Clone(stream)
			bad[i] ^= 4
			disk := crashfs.New()
			l := tiered(t, "/log", func(o *aof.Options) { o.FS, o.Spare, o.System = disk, -1, system })
			next, err := l.Import(t.Context(), bytes.NewReader(bad))
			if err == nil {
				t.Fatalf("byte %d", i)
			}
			wantAll(t, l, 1, int(next)-1)
			l.Close()
		}
	})
	t.Run("following goes on with what is appended", func(t *testing.T) {
		from := tiered(t, t.TempDir(), nil)
		to := tiered(t, t.TempDir(), nil)
		fill(t, from, 30)
		r, w := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() {
			err := from.Export(ctx, w, 1, 0, true)
			w.CloseWithError(err)
			ended <- err
		}()
		go func() {
			_, err := to.Import(context.Background(), r)
			ended <- err
		}()
		until(t, to, "the first records", func(st aof.Stats) bool { return st.Next == 31 })
		fill(t, from, 60)
		until(t, to, "the next records", func(st aof.Stats) bool { return st.Next == 61 })
		cancel()
		for range 2 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		wantAll(t, to, 1, 60)
	})
}

func keys(t testing.TB, current uint32, ids ...uint32) *seal.Keys {
	t.Helper()
	m := map[uint32][]byte{}
	for _, id := range ids {
		m[id] = bytes.Repeat([]byte{byte(id)}, seal.KeyBytes)
	}
	k, err := seal.New(current, m)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealedBatches(t *testing.T) {
	disk, m := crashfs.New(), objstore.NewMemory()
	with := func(k aof.Sealer) func(*aof.Options) {
		return func(o *aof.Options) { alone(m)(o); o.FS, o.Spare, o.Sealer = disk, -1, k }
	}
	l := tiered(t, "/log", with(keys(t, 1, 1)))
	fill(t, l, 120)
	l.Close()
	l = tiered(t, "/log", with(keys(t, 2, 1, 2)))
	fill(t, l, 220)
	until(t, l, "all cold", allCold(l))
	t.Run("records of old keys and of the new one are read", func(t *testing.T) {
		wantAll(t, l, 1, 220)
		if got, err := l.ReadAt(t.Context(), 210); err != nil || string(got) != string(rec(210)) {
			t.Error(err)
		}
	})
	t.Run("nothing is in the clear, on disk or in the bucket", func(t *testing.T) {
		for info, err := range m.List(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			body, _, err := m.Get(t.Context(), info.Key, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(body)
			if bytes.Contains(b, []byte("record ")) {
				t.Errorf("%s holds a record", info.Key)
			}
		}
		for _, name := range disk.Files("/log") {
			if bytes.Contains(content(t, disk, name), []byte("record ")) {
				t.Errorf("%s holds a record", name)
			}
		}
	})
	l.Close()
	t.Run("without the key records are refused, and the key is named", func(t *testing.T) {
		for _, k := range []aof.Sealer{nil, keys(t, 2, 2)} {
			l := tiered(t, "/log", with(k))
			until(t, l, "the bucket's segments", func(st aof.Stats) bool { return st.First == 1 })
			_, err := l.ReadAt(t.Context(), 7)
			var sealed *aof.SealedError
			if !errors.As(err, &sealed) || sealed.Key != 1 {
				t.Errorf("got %v", err)
			}
			l.Close()
		}
	})
	t.Run("an unsealed log can be sealed from now on", func(t *testing.T) {
		disk := crashfs.New()
		o := small(disk)
		l := open(t, "/plain", o)
		appendN(t, l, 10, 100)
		l.Close()
		o.Sealer = keys(t, 1, 1)
		l = open(t, "/plain", o)
		appendN(t, l, 10, 100)
		if n := readAll(t, l, 100); n != 20 {
			t.Error(n)
		}
	})
}

func FuzzImport(f *testing.F) {
	l := tiered(f, f.TempDir(), nil)
	fill(f, l, 20)
	f.Add(exported(f, l, 1, 0))
	f.Add(exported(f, l, 10, 12))
	f.Fuzz(func(t *testing.T, stream []byte) {
		l := tiered(t, "/log", func(o *aof.Options) { o.FS, o.Spare, o.System = crashfs.New(), -1, system })
		next, err := l.Import(t.Context(), bytes.NewReader(stream))
		first, end := l.Bounds()
		if next != end {
			t.Fatalf("imported up to %d, the log ends before %d: %v", next, end, err)
		}
		r, err := l.Reader(first)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for p := first; p < end; p++ {
			if _, err := r.TryNext(); err != nil {
				t.Fatalf("record %d: %v", p, err)
			}
		}
	})
}
