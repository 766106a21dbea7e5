package pageobj

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/faulty"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// smallChain is a full object with pages of all kinds, and one that follows it.
func smallChain(t testing.TB, b objstore.Bucket, k *crypt.Keyring) (*model, []Ref) {
	t.Helper()
	r := rand.New(rand.NewPCG(21, 21))
	m := newModel(512)
	m.state.TXID, m.state.Pages = 3, 14
	for no := uint32(1); no <= 14; no++ {
		switch no % 4 {
		case 0:
			m.put(no, interior(r, no, 512, 14))
		case 1, 2:
			m.put(no, text(r, 512))
		}
	}
	refs := []Ref{mustWrite(t, m, nil, 0, options(b, k, 1, m.state))}
	m.state.TXID, m.state.Pages = 5, 16
	changed := map[uint32]bool{}
	for _, no := range []uint32{2, 3, 8, 15, 16} {
		m.put(no, text(r, 512))
		changed[no] = true
	}
	m.put(8, interior(r, 8, 512, 16))
	nos, n := numbers(changed)
	return m, append(refs, mustWrite(t, m, nos, n, options(b, k, 4, m.state)))
}

// overwrite puts other bytes in the place of an object's.
func overwrite(t testing.TB, b objstore.Bucket, key string, content []byte) {
	t.Helper()
	if _, err := b.Put(context.Background(), key, bytes.NewReader(content), int64(len(content)), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

// honest reads everything, and fails if anything that comes isn't what was written. It returns the errors there were.
func (m *model) honest(t *testing.T, o ViewOptions) (errs []error) {
	t.Helper()
	v, err := Open(context.Background(), o)
	if err != nil {
		return []error{err}
	}
	defer v.Close()
	for no := uint32(1); no <= m.state.Pages; no++ {
		data, sum, err := v.Page(context.Background(), no)
		if err != nil {
			errs = append(errs, err)
		} else {
			m.equal(t, no, data, sum)
		}
		if sum, err := v.Sum(context.Background(), no); err != nil {
			errs = append(errs, err)
		} else if want := page.Sum(no, m.pages[no]); sum != want {
			t.Fatalf("the sum of page %d is %016x instead of %016x", no, sum, want)
		}
	}
	if err := v.Scan(context.Background(), 1, func(no uint32, data []byte, sum uint64) error {
		m.equal(t, no, data, sum)
		return nil
	}); err != nil {
		errs = append(errs, err)
	}
	return errs
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	for name, k := range map[string]*crypt.Keyring{"clear": nil, "sealed": keyring(t)} {
		t.Run(name, func(t *testing.T) {
			bucket := objstore.NewMemory()
			m, refs := smallChain(t, bucket, k)
			if errs := m.honest(t, ViewOptions{Bucket: bucket, Keys: keysOf(k), Refs: refs}); len(errs) > 0 {
				t.Fatal(errs)
			}
			harmless := 0
			for _, ref := range refs {
				for _, key := range []string{ref.Key, ref.Index.Key} {
					whole := content(t, bucket, key)
					step := 1
					if testing.Short() {
						step = 13
					}
					for i := 0; i < len(whole); i += step {
						bad := slices.Clone(whole)
						bad[i] ^= 1 << (i % 8)
						overwrite(t, bucket, key, bad)
						if err := Verify(t.Context(), bucket, k, ref, false); !errors.Is(err, ErrDamaged) {
							t.Fatalf("%s, byte %d: verifying the checksum says %v", key, i, err)
						}
						// The CRC of the reference is the last resort: all else has to find it without that.
						trusting := ref
						if key == ref.Key {
							trusting.CRC = crcOf(bad)
						} else {
							trusting.Index.CRC = crcOf(bad)
						}
						err := Verify(t.Context(), bucket, k, trusting, true)
						if err == nil && k == nil && key == ref.Key {
							harmless++ // LZ4 has more than one way to say the same
						} else if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
							t.Fatalf("%s, byte %d: verifying all says %v", key, i, err)
						}
						if i%11 == 0 || err == nil {
							for _, rerr := range m.honest(t, ViewOptions{Bucket: bucket, Keys: keysOf(k), Refs: refs}) {
								if err == nil {
									t.Fatalf("%s, byte %d: %v, and verifying all didn't find it", key, i, rerr)
								}
								if !errors.Is(rerr, ErrDamaged) && !errors.Is(rerr, ErrNewer) {
									t.Fatalf("%s, byte %d: %v", key, i, rerr)
								}
							}
						}
					}
					for _, bad := range [][]byte{whole[:len(whole)-1], whole[:len(whole)/2], whole[:1], {}, append(slices.Clone(whole), 0)} {
						overwrite(t, bucket, key, bad)
						if err := Verify(t.Context(), bucket, k, ref, true); !errors.Is(err, ErrDamaged) {
							t.Fatalf("%s with %d bytes instead of %d: %v", key, len(bad), len(whole), err)
						}
						for _, err := range m.honest(t, ViewOptions{Bucket: bucket, Keys: keysOf(k), Refs: refs}) {
							if !errors.Is(err, ErrDamaged) {
								t.Fatalf("%s with %d bytes instead of %d: %v", key, len(bad), len(whole), err)
							}
						}
					}
					overwrite(t, bucket, key, whole)
				}
			}
			if harmless > 20 {
				t.Fatalf("%d flipped bits changed nothing", harmless)
			}
		})
	}
}

func crcOf(b []byte) uint32 {
	t := tally{w: new(bytes.Buffer)}
	_, _ = t.Write(b)
	return t.crc
}

func TestAnotherObjectInItsPlaceIsFound(t *testing.T) {
	for name, k := range map[string]*crypt.Keyring{"clear": nil, "sealed": keyring(t)} {
		t.Run(name, func(t *testing.T) {
			bucket := objstore.NewMemory()
			m, refs := smallChain(t, bucket, k)
			for _, swap := range [][2]string{{refs[0].Key, refs[1].Key}, {refs[0].Index.Key, refs[1].Index.Key}, {refs[0].Key, refs[0].Index.Key}} {
				a, b := content(t, bucket, swap[0]), content(t, bucket, swap[1])
				overwrite(t, bucket, swap[0], b)
				overwrite(t, bucket, swap[1], a)
				errs := m.honest(t, ViewOptions{Bucket: bucket, Keys: keysOf(k), Refs: refs})
				if len(errs) == 0 {
					t.Fatal("nobody noticed")
				}
				for _, err := range errs {
					if !errors.Is(err, ErrDamaged) {
						t.Fatal(err)
					}
				}
				overwrite(t, bucket, swap[0], a)
				overwrite(t, bucket, swap[1], b)
			}
		})
	}
}

func TestReferencesAreNotTrusted(t *testing.T) {
	k := keyring(t)
	for i, edit := range []func(*Ref){
		func(r *Ref) { r.Size = 1 },
		func(r *Ref) { r.Size += 17 },
		func(r *Ref) { r.Pages-- },
		func(r *Ref) { r.State.Pages++ },
		func(r *Ref) { r.State.Size = 1024 },
		func(r *Ref) { r.Min, r.Max = 2, 1 },
		func(r *Ref) { r.Max++; r.State.TXID++ },
		func(r *Ref) { r.Index.RootOff -= 28 },
		func(r *Ref) { r.Index.RootLen = 1 << 62 },
		func(r *Ref) { r.Index.RootLen += 4 },
		func(r *Ref) { r.Index.Head = -1 },
		func(r *Ref) { r.Index.Head = r.Index.RootOff + 1 },
		func(r *Ref) { r.Index.Size = 1 << 60 },
		func(r *Ref) { r.Lineage++ },
		func(r *Ref) { r.Header = slices.Clone(r.Header); r.Header[30] ^= 1 },
		func(r *Ref) { r.Header = r.Header[:10] },
		func(r *Ref) { r.Header = nil },
	} {
		bucket := objstore.NewMemory()
		m, refs := smallChain(t, bucket, k)
		edit(&refs[0])
		errs := m.honest(t, ViewOptions{Bucket: bucket, Keys: keysOf(k), Refs: refs})
		if len(errs) == 0 {
			t.Errorf("edit %d: nobody noticed", i)
		}
		if err := Verify(t.Context(), bucket, k, refs[0], true); err == nil {
			t.Errorf("edit %d: it is verified", i)
		}
	}
}

func TestNoKeyNoPage(t *testing.T) {
	bucket := objstore.NewMemory()
	m, refs := smallChain(t, bucket, keyring(t))
	for _, err := range m.honest(t, ViewOptions{Bucket: bucket, Refs: refs}) {
		if !errors.Is(err, crypt.ErrNoProvider) {
			t.Fatal(err)
		}
	}
	for _, err := range m.honest(t, ViewOptions{Bucket: bucket, Keys: keysOf(keyring(t)), Refs: refs}) {
		if !errors.Is(err, ErrDamaged) || !errors.Is(err, crypt.ErrForged) {
			t.Fatal(err)
		}
	}
}

func TestAGoneObjectIsSaidToBeGone(t *testing.T) {
	for _, index := range []bool{false, true} {
		bucket := objstore.NewMemory()
		m, refs := smallChain(t, bucket, nil)
		key := refs[0].Key
		if index {
			key = refs[0].Index.Key
		}
		whole := content(t, bucket, key)
		v := mustOpen(t, ViewOptions{Bucket: bucket, Refs: refs})
		if err := bucket.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if _, _, err := v.Page(t.Context(), 6); !errors.Is(err, ErrGone) || !errors.Is(err, objstore.ErrNotFound) {
			t.Fatal(err)
		}
		for _, deep := range []bool{false, true} {
			if err := Verify(t.Context(), bucket, nil, refs[0], deep); !errors.Is(err, ErrGone) {
				t.Fatal(err)
			}
		}
		overwrite(t, bucket, key, whole)
		m.same(t, v, 6) // an error isn't remembered
	}
}

func TestABadBucketNeverMakesWrongPages(t *testing.T) {
	outage := fmt.Errorf("%w: outage", objstore.ErrUnavailable)
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 4))
		var k *crypt.Keyring
		if seed%2 == 1 {
			k = keyring(t)
		}
		mem := objstore.NewMemory()
		m, refs := smallChain(t, mem, k)
		var mu sync.Mutex
		var calm atomic.Bool
		bucket := faulty.New(mem, func(c faulty.Call) faulty.Fault {
			mu.Lock()
			defer mu.Unlock()
			if calm.Load() {
				return faulty.Fault{}
			}
			switch r.IntN(6) {
			case 0:
				return faulty.Fault{Before: outage}
			case 1:
				return faulty.Fault{Cut: 1 + r.Int64N(2000)}
			case 2:
				return faulty.Fault{Cut: -1}
			case 3:
				return faulty.Fault{Flip: 1 + r.Int64N(8000)}
			}
			return faulty.Fault{}
		})
		o := ViewOptions{Bucket: bucket, Keys: keysOf(k), Refs: refs}
		for range 10 {
			for _, err := range m.honest(t, o) {
				if !errors.Is(err, objstore.ErrUnavailable) && !errors.Is(err, ErrDamaged) {
					t.Fatal(err)
				}
			}
		}
		// One view lives through it.
		v := mustOpen(t, o)
		for no := uint32(1); no <= m.state.Pages; no++ {
			if data, sum, err := v.Page(t.Context(), no); err == nil {
				m.equal(t, no, data, sum)
			}
		}
		calm.Store(true)
		m.check(t, r, v)
	}
}

func TestManyWaitersOneRequest(t *testing.T) {
	mem := objstore.NewMemory()
	m, refs := smallChain(t, mem, nil)
	gate := make(chan struct{})
	bucket := faulty.New(mem, func(c faulty.Call) faulty.Fault { return faulty.Fault{Wait: gate} })
	v := mustOpen(t, ViewOptions{Bucket: bucket, Refs: refs})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			data, sum, err := v.Page(t.Context(), 6)
			if err != nil {
				t.Error(err)
				return
			}
			m.equal(t, 6, data, sum)
		})
	}
	// One who gives up doesn't take the others with it.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, _, err := v.Page(ctx, 6); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	close(gate)
	wg.Wait()
	if n := bucket.Count("get"); n != 3 {
		t.Fatalf("%d requests instead of those for two roots and one page", n)
	}
}

func TestTheLastWhoLeavesEndsTheRequest(t *testing.T) {
	mem := objstore.NewMemory()
	m, refs := smallChain(t, mem, nil)
	var free atomic.Bool
	var begun, ended atomic.Int64
	bucket := &hooked{mem, func(ctx context.Context) error {
		if free.Load() {
			return nil
		}
		begun.Add(1)
		defer ended.Add(1)
		<-ctx.Done()
		return ctx.Err()
	}}
	v := mustOpen(t, ViewOptions{Bucket: bucket, Refs: refs})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, _, err := v.Page(ctx, 6); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	for begun.Load() == 0 || ended.Load() < begun.Load() {
		runtime.Gosched() // nobody ends it but the one who left
	}
	free.Store(true)
	m.same(t, v, 6)
}

// hooked calls a function before each Get.
type hooked struct {
	objstore.Bucket
	hook func(context.Context) error
}

func (h *hooked) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	if err := h.hook(ctx); err != nil {
		return nil, objstore.Info{}, err
	}
	return h.Bucket.Get(ctx, key, off, n)
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	mem := objstore.NewMemory()
	_, refs := smallChain(t, mem, nil)
	bucket := faulty.New(mem, func(c faulty.Call) faulty.Fault { return faulty.Fault{Wait: make(chan struct{})} })
	v := mustOpen(t, ViewOptions{Bucket: bucket, Refs: refs})
	errs := make(chan error, 3)
	go func() { _, _, err := v.Page(context.Background(), 6); errs <- err }()
	go func() { _, err := v.Sum(context.Background(), 7); errs <- err }()
	go func() {
		errs <- v.Scan(context.Background(), 1, func(uint32, []byte, uint64) error { return nil })
	}()
	for bucket.Count("get") == 0 {
		time.Sleep(time.Millisecond)
	}
	v.Close()
	for range 3 {
		if err := <-errs; !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
	}
	v.Prefetch(t.Context(), []uint32{1, 2, 3})
	v.Close()
}

func TestTheBadLuckOfOthersIsNotOurs(t *testing.T) {
	mem := objstore.NewMemory()
	m, refs := smallChain(t, mem, nil)
	gate, asked := make(chan struct{}), make(chan struct{}, 1)
	var once atomic.Bool
	bucket := faulty.New(mem, func(c faulty.Call) faulty.Fault {
		if c.Key == refs[0].Key && once.CompareAndSwap(false, true) {
			asked <- struct{}{}
			return faulty.Fault{Wait: gate, Cut: -1}
		}
		return faulty.Fault{}
	})
	v := mustOpen(t, ViewOptions{Bucket: bucket, Refs: refs})
	v.Prefetch(t.Context(), []uint32{6})
	<-asked
	got := make(chan error, 1)
	go func() {
		data, sum, err := v.Page(context.Background(), 6)
		if want, wantSum, _ := m.Page(6, make([]byte, 512)); err == nil && (string(data) != string(want) || sum != wantSum) {
			err = errors.New("another page came")
		}
		got <- err
	}()
	for waiting := false; !waiting; runtime.Gosched() {
		v.mu.Lock()
		waiting = v.inflight[6].waiters == 2
		v.mu.Unlock()
	}
	close(gate)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}
