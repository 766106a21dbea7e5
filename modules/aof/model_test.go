package aof_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/crashfs"
)

// TestModel does random things to a log and to a slice, and compares the two.
func TestModel(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			disk := crashfs.New()
			o := small(disk)
			o.Spare = random.IntN(3) - 1
			l := open(t, "/log", o)
			records := [][]byte{nil} // by position; nothing is at 0
			for step := range 150 {
				what := ""
				switch n := random.IntN(20); {
				case n < 12:
					recs := make([][]byte, 1+random.IntN(5))
					for i := range recs {
						recs[i] = bytes.Repeat([]byte{byte(step), byte(i)}, random.IntN(4000))
					}
					first, err := l.AppendBatch(t.Context(), recs, aof.Durability(random.IntN(3)))
					if err != nil || int(first) != len(records) {
						t.Fatalf("step %d: appended at %d, want %d: %v", step, first, len(records), err)
					}
					records = append(records, recs...)
					what = "append"
				case n < 14:
					first, next := l.Bounds()
					p := first + aof.Position(random.IntN(int(next-first)+1))
					if err := l.TruncateBefore(p); err != nil {
						t.Fatalf("step %d: %v", step, err)
					}
					if now, _ := l.Bounds(); now > p {
						t.Fatalf("step %d: truncated before %d, the log begins at %d", step, p, now)
					}
					what = "truncate before"
				case n < 16:
					if err := l.Sync(t.Context()); err != nil {
						t.Fatal(err)
					}
					first, next := l.Bounds()
					p := next - 1
					if span := min(8, int(next-first)); span > 0 {
						p -= aof.Position(random.IntN(span))
					}
					if err := l.TruncateAfter(p); err != nil {
						t.Fatalf("step %d: truncating after %d: %v", step, p, err)
					}
					records = records[:p+1]
					what = "truncate after"
				case n < 18:
					if err := l.Seal(t.Context()); err != nil {
						t.Fatal(err)
					}
					what = "seal"
				default:
					if err := l.Close(); err != nil {
						t.Fatal(err)
					}
					if random.IntN(2) == 0 { // as after a loss of power, everything having been synced by closing
						disk = disk.Image(crashfs.Lost, 0)
						o.FS = disk
					}
					l = open(t, "/log", o)
					what = "reopen"
				}
				if err := l.Sync(t.Context()); err != nil {
					t.Fatal(err)
				}
				compare(t, l, records, fmt.Sprintf("step %d, %s", step, what))
			}
		})
	}
}

// compare holds a log against the records that it should have from its beginning on.
func compare(t *testing.T, l *aof.Log, records [][]byte, what string) {
	t.Helper()
	first, next := l.Bounds()
	if int(next) != len(records) || l.Durable() != next-1 {
		t.Fatalf("%s: the log ends at %d, durable %d, want %d", what, next, l.Durable(), len(records))
	}
	r, err := l.Reader(first)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer r.Close()
	for p := first; p < next; p++ {
		rec, err := r.TryNext()
		if err != nil || rec.Position != p || !bytes.Equal(rec.Data, records[p]) {
			t.Fatalf("%s: position %d: got %d with %d bytes, %v", what, p, rec.Position, len(rec.Data), err)
		}
	}
	if _, err := r.TryNext(); !errors.Is(err, aof.ErrTail) {
		t.Fatalf("%s: behind the last: %v", what, err)
	}
	if d := l.Damage(); len(d) > 0 {
		t.Fatalf("%s: damage %v", what, d)
	}
}
