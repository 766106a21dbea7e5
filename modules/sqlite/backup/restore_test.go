package backup

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

func TestAFileIsCheckedByTheChecksumOfItsVersion(t *testing.T) {
	f := newFixture(t, 1, false, objstore.NewMemory())
	for range 20 {
		f.commit()
	}
	v := f.versions[f.txid()]
	whole := v.bytes()
	check := func(b []byte) error { return Check(bytes.NewReader(b), v.state.Size, v.state.Checksum) }
	if err := check(whole); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 97 {
		b := bytes.Clone(whole)
		b[at] ^= 1
		if err := check(b); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d is changed: %v", at, err)
		}
	}
	for _, size := range []int{len(whole) - 1, len(whole) - int(v.state.Size), 1} {
		if err := check(whole[:size]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%d of %d bytes: %v", size, len(whole), err)
		}
	}
	if err := Check(bytes.NewReader(whole), 1000, v.state.Checksum); err == nil {
		t.Fatal("1000 bytes are a page")
	}
}

func TestEachTransactionOfARandomHistoryIsRestoredFromPagesAndLog(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("sealed=%v/%d", sealed, seed), func(t *testing.T) {
				f := newFixture(t, seed, sealed, objstore.NewMemory())
				w := f.writer(1)
				var pagesTo, logTo page.TXID
				for range 60 {
					f.commit()
					if f.rng.IntN(5) == 0 {
						if err := f.putPages(w, pagesTo+1, f.txid(), PurposeUpload); err != nil {
							t.Fatal(err)
						}
						pagesTo = f.txid()
					}
					if f.rng.IntN(4) == 0 {
						if err := f.putLog(w, logTo+1, f.txid()); err != nil {
							t.Fatal(err)
						}
						logTo = f.txid()
					}
				}
				first := page.TXID(0)
				for _, o := range w.Manifest().Objects {
					if first == 0 || o.Max < first {
						first = o.Max
					}
				}
				last := max(logTo, pagesTo)
				ranges := w.Manifest().Restorable()
				if len(ranges) != 1 || ranges[0].First != first || ranges[0].Last != last {
					t.Fatalf("restorable: %v, and not %d to %d", ranges, first, last)
				}
				for id := first; id <= last; id++ {
					switch f.rng.IntN(3) {
					case 0:
						f.restored(f.space, Target{Time: time.UnixMicro(f.versions[id].state.Time)}, id)
					case 1:
						if id < last {
							f.restored(f.space, Target{Time: time.UnixMicro(f.versions[id+1].state.Time - 1)}, id)
						}
					}
					f.restored(f.space, Target{TXID: id}, id)
				}
				f.restored(f.space, Target{Latest: true}, last)
				f.restored(f.space, Target{Time: time.UnixMicro(f.versions[last].state.Time).Add(time.Hour)}, last)
				f.verified(f.space)
			})
		}
	}
}
