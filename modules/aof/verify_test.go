package aof_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/crashfs"
	"github.com/bop-platform/bop/modules/aof/objstore"
)

// threeTiers is a closed log on disk with two segments in each tier, and its bucket.
func threeTiers(t *testing.T) (disk *crashfs.FS, bucket *objstore.Memory, o aof.Options) {
	t.Helper()
	disk, bucket = crashfs.New(), objstore.NewMemory()
	o = aof.Options{FS: disk, SegmentBytes: 64 << 10, Spare: -1, Logger: quiet(), Tiers: aof.Tiers{Bucket: bucket, Hot: aof.Keep{Segments: 2}, Warm: aof.Keep{Segments: 2}}}
	l, err := aof.Open("/log", o)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, l, 320)
	until(t, l, "each tier", func(aof.Stats) bool { w := where(l); return w["hc"] == 2 && w["wc"] == 2 && w["c"] == 2 })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return disk, bucket, o
}

func TestVerify(t *testing.T) {
	const hot, warm, tail = "/log/0000000000000005.seg", "/log/0000000000000003.zst", "/log/0000000000000007.seg"
	verify := func(t *testing.T, o aof.Options) *aof.Report {
		t.Helper()
		var last, total int64
		r, err := aof.Verify(t.Context(), "/log", o, func(done, of int64) { last, total = done, of })
		if err != nil {
			t.Fatal(err)
		}
		if last != total || total == 0 {
			t.Errorf("%d of %d bytes", last, total)
		}
		return r
	}
	t.Run("a whole log has no findings", func(t *testing.T) {
		disk, _, o := threeTiers(t)
		ops := disk.Ops()
		r := verify(t, o)
		if len(r.Findings) != 0 || r.First != 1 || r.Next != 321 || len(r.Segments) != 7 || *r.Epoch != 0 {
			t.Errorf("%+v", r)
		}
		if disk.Ops() != ops {
			t.Error("the folder was changed")
		}
	})
	for _, c := range []struct {
		name, file string
		off        int64  // from the end if negative
		want       string // part of the reason; "" for what carries nothing
	}{
		{"the first copy of a header", hot, 20, "a copy of the segment's header"},
		{"the second copy of a header", hot, 2048 + 33, "a copy of the segment's header"},
		{"the space behind a header", hot, 100, ""},
		{"a batch's header", hot, 4096 + 9, "checksum mismatch"},
		{"a batch's payload", hot, 4096 + 60, "checksum mismatch"},
		{"the last batch", hot, 4096 + 600*49, "checksum mismatch"},
		{"a footer", hot, 4096 + 600*50 + 10, "footer or its trailer"},
		{"a trailer", hot, -40, "footer or its trailer"},
		{"the unused space before a trailer", hot, -100, ""},
		{"the tail's payload", tail, 4096 + 60, "checksum mismatch"},
		{"a compressed frame", warm, 100, "frame 0"},
		{"a summary", warm, -150, "summary"},
		{"a seek table", warm, -5, "seek table"},
	} {
		t.Run("a flipped bit in "+c.name, func(t *testing.T) {
			disk, _, o := threeTiers(t)
			off := c.off
			if off < 0 {
				off += int64(len(content(t, disk, c.file)))
			}
			disk.Flip(c.file, off, 3)
			r := verify(t, o)
			if c.want == "" {
				if len(r.Findings) != 0 {
					t.Errorf("%+v", r.Findings)
				}
				return
			}
			if len(r.Findings) != 1 || r.Findings[0].Name != c.file || !strings.Contains(r.Findings[0].Reason, c.want) || r.Findings[0].Advice == "" {
				t.Errorf("%+v", r.Findings)
			}
			// Whatever was flipped, nothing wrong is read.
			l, err := aof.Open("/log", o)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			until(t, l, "the bucket's segments", func(st aof.Stats) bool { return st.First == 1 })
			for p := 1; p <= 320; p++ {
				got, err := l.ReadAt(t.Context(), aof.Position(p))
				if err != nil && !errors.Is(err, aof.ErrDamaged) || err == nil && !bytes.Equal(got, rec(p)) {
					t.Fatalf("record %d: %.20q, %v", p, got, err)
				}
				if err != nil && p <= 300 {
					t.Fatalf("record %d isn't read from the copy in the bucket: %v", p, err)
				}
			}
		})
	}
	object := func(t *testing.T, b *objstore.Memory, prefix string, change func([]byte)) (key string) {
		t.Helper()
		for info, err := range b.List(t.Context(), prefix, "") {
			if err != nil {
				t.Fatal(err)
			}
			body, _, err := b.Get(t.Context(), info.Key, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(body)
			change(text)
			if _, err := b.Put(t.Context(), info.Key, bytes.NewReader(text), int64(len(text)), objstore.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			return info.Key
		}
		return ""
	}
	t.Run("a flipped bit in an object", func(t *testing.T) {
		_, bucket, o := threeTiers(t)
		key := object(t, bucket, "segments/", func(b []byte) { b[500] ^= 1 })
		r := verify(t, o)
		if len(r.Findings) != 1 || r.Findings[0].Name != key || r.Findings[0].First != 1 || r.Findings[0].Last != 50 {
			t.Errorf("%+v", r.Findings)
		}
	})
	t.Run("a damaged manifest", func(t *testing.T) {
		_, bucket, o := threeTiers(t)
		object(t, bucket, "manifest", func(b []byte) { b[0] = '[' })
		r := verify(t, o)
		if len(r.Findings) != 1 || r.Findings[0].Name != "manifest.json" || len(r.Segments) != 7 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("an object that is gone, and one too many", func(t *testing.T) {
		_, bucket, o := threeTiers(t)
		if _, err := bucket.Put(t.Context(), "segments/other.zst", strings.NewReader("x"), 1, objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		r, err := aof.Inspect(t.Context(), "/log", o)
		if err != nil || len(r.Findings) != 1 || r.Findings[0].Name != "segments/other.zst" {
			t.Errorf("%+v, %v", r, err)
		}
		for info := range bucket.List(t.Context(), "segments/0", "") {
			if err := bucket.Delete(t.Context(), info.Key); err != nil {
				t.Fatal(err)
			}
			break
		}
		r, err = aof.Inspect(t.Context(), "/log", o)
		if err != nil || len(r.Findings) != 2 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("an open log is looked at and not verified from outside", func(t *testing.T) {
		_, _, o := threeTiers(t)
		l, err := aof.Open("/log", o)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if r, err := aof.Inspect(t.Context(), "/log", o); err != nil || r.Next != 321 || len(r.Findings) != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := aof.Verify(t.Context(), "/log", o, nil); !errors.Is(err, aof.ErrLocked) {
			t.Errorf("got %v", err)
		}
		until(t, l, "the bucket's segments", func(st aof.Stats) bool { return st.First == 1 })
		if r, err := l.Verify(t.Context(), nil); err != nil || len(r.Findings) != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("a damaged catalog is put aside and made anew", func(t *testing.T) {
		dir := t.TempDir()
		l := tiered(t, dir, nil)
		fill(t, l, 120)
		l.Close()
		name := filepath.Join(dir, "catalog")
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			b[i] ^= 0x55
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l = tiered(t, dir, nil)
		wantAll(t, l, 1, 120)
		if _, err := os.Stat(name + ".damaged"); err != nil {
			t.Error(err)
		}
	})
}
