package aof

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestKeep(t *testing.T) {
	now := time.Unix(1000, 0)
	// Four segments of 10 bytes, sealed 40, 30, 20 and 10 seconds ago.
	all := func() (list []resident) {
		for i := range 4 {
			s := &segment{header: segmentHeader{sequence: uint64(i + 1)}}
			list = append(list, resident{s, 10, now.Add(-time.Duration(40-10*i) * time.Second)})
		}
		return list
	}
	for _, c := range []struct {
		name string
		keep Keep
		want string // sequences that leave, the oldest first
	}{
		{"no limit lets all stay", Keep{}, "[]"},
		{"by bytes the newest stay", Keep{Bytes: 25}, "[1 2]"},
		{"by number too", Keep{Segments: 3}, "[1]"},
		{"by age those that are too old leave", Keep{Age: 25 * time.Second}, "[1 2]"},
		{"the narrowest limit counts", Keep{Bytes: 35, Segments: 3, Age: 15 * time.Second}, "[1 2 3]"},
		{"a negative limit lets nothing stay", Keep{Bytes: -1}, "[1 2 3 4]"},
		{"a negative number neither", Keep{Segments: -1}, "[1 2 3 4]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []uint64
			for _, s := range c.keep.leaving(all(), now) {
				got = append(got, s.header.sequence)
			}
			if text := fmt.Sprint(append([]uint64{}, got...)); text != c.want {
				t.Errorf("%s leave, not %s", text, c.want)
			}
		})
	}
	t.Run("one that was hydrated lately counts as new", func(t *testing.T) {
		list := all()
		list[0].since = now
		if gone := (Keep{Segments: 2}).leaving(list, now); len(gone) != 2 || gone[0].header.sequence != 2 {
			t.Errorf("%v", gone)
		}
	})
	t.Run("the next to grow too old is known", func(t *testing.T) {
		if at := (Keep{Age: time.Minute}).nextAge(all()); !at.Equal(now.Add(20 * time.Second)) {
			t.Error(at)
		}
	})
}

func TestCache(t *testing.T) {
	get := func(c *Cache, n int64, load func(context.Context) ([]byte, error)) ([]byte, error) {
		return c.get(t.Context(), blockKey{key: "x", number: n}, load)
	}
	loads := 0
	load := func(context.Context) ([]byte, error) {
		loads++
		return make([]byte, blockBytes), nil
	}
	t.Run("what wasn't used for longest goes when the bytes are used up", func(t *testing.T) {
		c := NewCache(3 * blockBytes)
		for _, n := range []int64{1, 2, 3, 1, 4} {
			if _, err := get(c, n, load); err != nil {
				t.Fatal(err)
			}
		}
		if loads != 4 || c.Bytes() != 3*blockBytes {
			t.Fatalf("%d loads, %d bytes", loads, c.Bytes())
		}
		get(c, 1, load)
		get(c, 2, load) // it had gone
		if loads != 5 {
			t.Errorf("%d loads", loads)
		}
	})
	t.Run("a failure isn't kept", func(t *testing.T) {
		c := NewCache(0)
		broken := errors.New("broken")
		if _, err := get(c, 1, func(context.Context) ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
			t.Error(err)
		}
		if _, err := get(c, 1, load); err != nil {
			t.Error(err)
		}
	})
	t.Run("a fetch ends when nobody waits for it any more", func(t *testing.T) {
		c := NewCache(0)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		begun := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.get(ctx, blockKey{key: "x"}, func(ctx context.Context) ([]byte, error) {
				close(begun)
				<-ctx.Done()
				close(ended)
				return nil, ctx.Err()
			})
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		<-begun
		cancel()
		<-ended
		wg.Wait()
	})
}
