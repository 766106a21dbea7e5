package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
	"github.com/bop-platform/bop/modules/sqlite/internal/record"
)

// ProblemKind says what is wrong with a backup.
type ProblemKind uint8

const (
	// Missing: an object that the manifest names isn't there.
	Missing ProblemKind = iota + 1
	// Damaged: its bytes aren't those that were written.
	Damaged
	// Sealed: it can't be opened with the keys that there are.
	Sealed
	// Gap: transactions are missing between others, or below a snapshot.
	Gap
)

var problemNames = [...]string{Missing: "missing", Damaged: "damaged", Sealed: "sealed", Gap: "gap"}

// String returns missing, damaged, sealed or gap.
func (k ProblemKind) String() string {
	if int(k) < len(problemNames) {
		return problemNames[k]
	}
	return "unknown"
}

// Problem is one thing that is wrong.
type Problem struct {
	Kind ProblemKind
	Key  string // of the object, "" if it isn't about one
	Err  error
}

func (p Problem) String() string {
	if p.Key == "" {
		return fmt.Sprintf("%s: %v", p.Kind, p.Err)
	}
	return fmt.Sprintf("%s: %s: %v", p.Kind, p.Key, p.Err)
}

// Report is what Verify found.
type Report struct {
	Manifest *Manifest
	Deep     bool
	Objects  int   // page objects that were looked at
	Logs     int   // log objects
	Bytes    int64 // their sizes together
	Problems []Problem
	Ranges   []Range // what can be restored, if there are no problems
}

// verifiers is how many objects are looked at at a time; few, if they are read.
const (
	verifiers     = 8
	verifiersDeep = 2
)

// Verify looks whether everything that the manifest names is in the bucket, with its size and checksum, and whether its
// parts fit together. deep reads all of it, and checks each page and each record. progress is told of bytes; it may be
// nil. The report lists what is wrong; an error says that nobody could tell: the bucket didn't answer, there is no manifest.
func Verify(ctx context.Context, s *Space, deep bool, progress func(done, total int64)) (*Report, error) {
	m, _, err := s.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("verifying the backup of database %s: %w", s.o.Database, err)
	}
	keys, err := s.keys(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("verifying the backup of database %s: %w", s.o.Database, err)
	}
	v := &verification{s: s, ring: keys(), deep: deep, progress: progress, report: &Report{Manifest: m, Deep: deep, Ranges: m.Restorable()}}
	if err := v.run(ctx, m); err != nil {
		return nil, fmt.Errorf("verifying the backup of database %s: %w", s.o.Database, err)
	}
	return v.report, nil
}

type verification struct {
	s        *Space
	ring     *crypt.Keyring
	deep     bool
	progress func(done, total int64)
	total    int64

	mu     sync.Mutex
	report *Report
}

func (v *verification) run(ctx context.Context, m *Manifest) error {
	type job struct {
		size  int64
		check func(context.Context) error
		key   string
	}
	var jobs []job
	seen := map[string]bool{}
	for _, o := range m.Objects {
		if seen[o.Key] {
			continue
		}
		seen[o.Key] = true
		v.report.Objects++
		jobs = append(jobs, job{o.Size + o.Index.Size, func(ctx context.Context) error {
			return pageobj.Verify(ctx, v.s.objects, v.ring, o.Ref, v.deep)
		}, o.Key})
	}
	for _, l := range m.Logs {
		v.report.Logs++
		jobs = append(jobs, job{l.Size, func(ctx context.Context) error { return v.log(ctx, &l) }, l.Key})
	}
	for _, j := range jobs {
		v.total += j.size
	}
	v.continuity(m)

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, verifiers)
	if v.deep {
		slots = make(chan struct{}, verifiersDeep)
	}
	var wg sync.WaitGroup
	for _, j := range jobs {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := v.found(j.key, j.size, j.check(ctx)); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	slices.SortStableFunc(v.report.Problems, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key)) })
	return nil
}

// found makes a problem of an error, unless it says nothing about the object.
func (v *verification) found(key string, size int64, err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	p := Problem{Key: key, Err: err}
	switch {
	case err == nil:
	case errors.Is(err, objstore.ErrNotFound):
		p.Kind = Missing
	case errors.Is(err, crypt.ErrNoKey), errors.Is(err, crypt.ErrNoProvider):
		p.Kind = Sealed
	case errors.Is(err, ErrDamaged), errors.Is(err, pageobj.ErrDamaged), errors.Is(err, objstore.ErrChecksum), errors.Is(err, crypt.ErrForged),
		errors.Is(err, crypt.ErrDamaged), errors.Is(err, ErrNewer), errors.Is(err, pageobj.ErrNewer), errors.Is(err, record.ErrNewerVersion):
		p.Kind = Damaged
	default:
		return err
	}
	if p.Kind != 0 {
		v.report.Problems = append(v.report.Problems, p)
	}
	v.report.Bytes += size
	if v.progress != nil {
		v.progress(v.report.Bytes, v.total)
	}
	return nil
}

func (v *verification) log(ctx context.Context, l *LogRef) error {
	if !v.deep {
		return objstore.Verify(ctx, v.s.objects, l.Key, l.Size, l.CRC)
	}
	at := l.First - 1
	var open record.Header // part that isn't the last of its transaction
	for r, err := range ReadLog(ctx, v.s.objects, *l) {
		if err != nil {
			return err
		}
		fail := func(err error) error { return fmt.Errorf("log position %d: %w", r.Position, err) }
		plain, err := record.Open(r.Data, v.ring)
		if err != nil {
			return fail(err)
		}
		rec, err := record.Decode(plain)
		if err != nil {
			return fail(damaged("%w", err))
		}
		h := rec.Header
		switch {
		case h.Database != v.s.o.Database, h.Lineage != l.Lineage, h.TXID != r.TXID, h.Epoch != r.Epoch, rec.Last != r.Last:
			return fail(damaged("the record is another one than it is said to be"))
		case h.TXID != at+1 || h.Prev != at:
			return fail(damaged("transaction %d comes after %d", h.TXID, at))
		case h.Part != 1 && (open.TXID != h.TXID || open.Part+1 != h.Part || open.Epoch != h.Epoch):
			return fail(damaged("part %d of transaction %d doesn't follow", h.Part, h.TXID))
		}
		if open = h; rec.Last {
			at, open = h.TXID, record.Header{}
		}
	}
	if at != l.Last {
		return damaged("its transactions end with %d instead of %d", at, l.Last)
	}
	return nil
}

// continuity looks whether the parts fit together.
func (v *verification) continuity(m *Manifest) {
	gap := func(key, format string, a ...any) {
		v.report.Problems = append(v.report.Problems, Problem{Gap, key, fmt.Errorf(format, a...)})
	}
	reached := map[page.TXID]bool{}
	for _, p := range m.points() {
		reached[p.txid] = true
	}
	for _, o := range m.Objects {
		if !reached[o.Max] {
			gap(o.Key, "transactions below %d are missing, so it can't be used", o.Min)
		}
	}
	if r := m.Restorable(); len(r) > 0 && r[len(r)-1].Last < m.newest() {
		gap("", "transactions after %d are missing, and the newest that is there is %d", r[len(r)-1].Last, m.newest())
	}
}
