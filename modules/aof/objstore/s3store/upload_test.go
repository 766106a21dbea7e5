package s3store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

func up(ctx context.Context, b *Bucket, body []byte, o objstore.PutOptions) (objstore.Info, error) {
	return b.Upload(ctx, "x", struct{ io.Reader }{bytes.NewReader(body)}, o)
}

func TestPartsAreEnoughForTheLargestObject(t *testing.T) {
	b := &Bucket{part: firstPart, grow: growAfter}
	var sum int64
	for n := 1; n <= maxParts; n++ {
		size := b.partSize(n)
		if size < 5<<20 || size > 5<<30 {
			t.Fatalf("part %d has %d bytes", n, size)
		}
		sum += size
	}
	if sum < 5<<40 {
		t.Errorf("%d bytes in all", sum)
	}
}

func TestEachLengthIsUploadedInAsManyPartsAsItNeeds(t *testing.T) {
	for size, want := range map[int]int{0: 0, 1: 0, 100: 0, 101: 2, 200: 2, 201: 3, 5000: 50} {
		s := newStore(t)
		b := content(size)
		info, err := up(t.Context(), s.bucket(), b, objstore.PutOptions{})
		if err != nil || info.Size != int64(size) || info.ETag != "1" {
			t.Fatal(info, err)
		}
		s.check(b)
		if s.count["part"] != want || (s.count["put"] == 1) != (want == 0) {
			t.Errorf("%d bytes: %v", size, s.count)
		}
	}
}

func TestPartsGrowAndAreNeverTooMany(t *testing.T) {
	s := newStore(t)
	b := s.bucket()
	b.part, b.grow, b.most = 1, 50, 500
	long := content(50 * (1<<10 - 1))
	if _, err := up(t.Context(), b, long, objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	s.check(long)
	if s.count["part"] != 500 {
		t.Error(s.count)
	}
	_, err := up(t.Context(), b, append(long, 1), objstore.PutOptions{})
	if err == nil || !strings.Contains(err.Error(), "split it") {
		t.Error(err)
	}
	s.check(long)
}

func TestAPartThatFailsIsSentAgainByItself(t *testing.T) {
	for _, c := range []struct {
		name string
		f    *fault
	}{{"the store is busy", slowDown}, {"the connection breaks", &fault{}}, {"it was damaged on its way", &fault{400, "BadDigest"}}} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			s.fault = func(op string, n int, late bool) *fault {
				if !late && op != "put" && n < 2 {
					return c.f
				}
				return nil
			}
			b := content(950)
			if _, err := up(t.Context(), s.bucket(), b, objstore.PutOptions{IfAbsent: true}); err != nil {
				t.Fatal(err)
			}
			s.check(b)
			if s.count["part"] != 12 || s.count["create"] != 3 {
				t.Error(s.count)
			}
		})
	}
}

func TestAnUploadThatFailsIsAborted(t *testing.T) {
	for _, c := range []struct {
		name string
		op   string
		want error
	}{{"a part", "part", objstore.ErrUnavailable}, {"its completion", "complete", objstore.ErrUnavailable}} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			s.fault = func(op string, n int, late bool) *fault {
				if op == c.op && n >= 1 || op == "complete" && c.op == op {
					return slowDown
				}
				return nil
			}
			_, err := up(t.Context(), s.bucket(), content(950), objstore.PutOptions{})
			if !errors.Is(err, c.want) {
				t.Error(err)
			}
			s.check(nil)
			if s.count["abort"] != 1 {
				t.Error(s.count)
			}
		})
	}
	t.Run("its context ends", func(t *testing.T) {
		s := newStore(t)
		ctx, cancel := context.WithCancel(t.Context())
		s.fault = func(op string, n int, late bool) *fault {
			if op == "part" && n == 3 {
				cancel()
			}
			return nil
		}
		if _, err := up(ctx, s.bucket(), content(950), objstore.PutOptions{}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		s.check(nil)
	})
	t.Run("the store doesn't answer to that either", func(t *testing.T) {
		s := newStore(t)
		s.fault = func(op string, n int, late bool) *fault {
			if op == "part" || op == "abort" {
				return slowDown
			}
			return nil
		}
		_, err := up(t.Context(), s.bucket(), content(950), objstore.PutOptions{})
		if err == nil || !strings.Contains(err.Error(), "lifecycle rule") || s.count["abort"] != 5 {
			t.Error(err, s.count)
		}
	})
	t.Run("somebody else aborted it", func(t *testing.T) {
		s := newStore(t)
		s.fault = func(op string, n int, late bool) *fault {
			if op == "part" && n == 4 && !late {
				s.mu.Lock()
				clear(s.uploads)
				s.mu.Unlock()
			}
			return nil
		}
		_, err := up(t.Context(), s.bucket(), content(950), objstore.PutOptions{})
		if err == nil || errors.Is(err, objstore.ErrNotFound) || !strings.Contains(err.Error(), "doesn't know the upload") {
			t.Error(err)
		}
	})
}

func TestAnUploadWhoseLastAnswerIsLost(t *testing.T) {
	mine, others := content(950), content(951)
	for _, c := range []struct {
		name   string
		before []byte // what is there
		o      objstore.PutOptions
		lose   func(s *store) // what happens instead of the answer
		want   error
	}{
		{"has succeeded", nil, objstore.PutOptions{}, nil, nil},
		{"has replaced another", others, objstore.PutOptions{}, nil, nil},
		{"has created the object", nil, objstore.PutOptions{IfAbsent: true}, nil, nil},
		{"has not created it if it is another", nil, objstore.PutOptions{IfAbsent: true}, func(s *store) { s.object = others }, objstore.ErrExists},
		{"isn't told from another's under a condition", others, objstore.PutOptions{IfMatch: "1"}, nil, objstore.ErrChanged},
		{"is unknown if another came after it", nil, objstore.PutOptions{}, func(s *store) { s.object = others }, errNoUpload},
		{"is unknown if the object is gone", nil, objstore.PutOptions{}, func(s *store) { s.object, s.etag = nil, "" }, errNoUpload},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			if c.before != nil {
				s.object, s.etag = c.before, "1"
			}
			s.fault = func(op string, n int, late bool) *fault {
				if op != "complete" || n > 0 || !late {
					return nil
				}
				if c.lose != nil {
					s.mu.Lock()
					defer s.mu.Unlock()
					c.lose(s)
				}
				return &fault{}
			}
			info, err := up(t.Context(), s.bucket(), mine, c.o)
			if !errors.Is(err, c.want) {
				t.Fatal(err)
			}
			if c.want == nil {
				s.check(mine)
				if info.ETag != s.etag || info.Size != 950 {
					t.Errorf("%+v", info)
				}
			}
		})
	}
}

func TestACompletionThatFailsInAnAnswerThatSaysOKIsRepeated(t *testing.T) {
	s := newStore(t)
	s.fault = func(op string, n int, late bool) *fault {
		if op == "complete" && n == 0 && !late {
			return &fault{200, "InternalError"}
		}
		return nil
	}
	if _, err := up(t.Context(), s.bucket(), content(950), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	s.check(content(950))
}

func TestStoresWithoutChecksumsOfWholeObjects(t *testing.T) {
	for _, full := range []bool{true, false} {
		s := newStore(t)
		s.full = full
		b := content(950)
		if _, err := up(t.Context(), s.bucket(), b, objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		s.check(b)
		n, _ := checksum(bytes.NewReader(b))
		if want := map[bool]string{true: encodeSum(n)}[full]; !slices.Equal(s.sums, []string{want}) {
			t.Errorf("full %v: %q", full, s.sums)
		}
	}
}

// counted is a body that tells how much of it was read.
type counted struct {
	io.Reader
	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func TestAtMostThreePartsAreInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		release := make(chan struct{})
		s.fault = func(op string, n int, late bool) *fault {
			if op == "part" && !late {
				<-release
			}
			return nil
		}
		body := &counted{Reader: bytes.NewReader(content(1950))}
		b := s.bucket()
		var err error
		done := make(chan struct{})
		go func() {
			_, err = b.Upload(t.Context(), "x", body, objstore.PutOptions{})
			close(done)
		}()
		for part := range 20 {
			synctest.Wait() // nothing goes on until one is let go
			if got, want := body.n.Load(), int64(min((part+3)*100, 1950)); got != want {
				t.Errorf("%d bytes were read when %d parts were done, instead of %d", got, part, want)
			}
			release <- struct{}{}
		}
		if <-done; err != nil {
			t.Fatal(err)
		}
		s.check(content(1950))
		if s.most != 3 {
			t.Errorf("%d parts at a time", s.most)
		}
	})
}

func TestAnUploadInPartsKeepsItsCondition(t *testing.T) {
	for _, c := range []struct {
		there string
		o     objstore.PutOptions
		want  error
	}{
		{"", objstore.PutOptions{IfAbsent: true}, nil},
		{"1", objstore.PutOptions{IfAbsent: true}, objstore.ErrExists},
		{"1", objstore.PutOptions{IfMatch: "1"}, nil},
		{"2", objstore.PutOptions{IfMatch: "1"}, objstore.ErrChanged},
		{"", objstore.PutOptions{IfMatch: "1"}, objstore.ErrChanged},
	} {
		s := newStore(t)
		s.etag = c.there
		if _, err := up(t.Context(), s.bucket(), content(950), c.o); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
		want := content(950)
		if c.want != nil {
			want = nil
		}
		s.check(want)
	}
}
