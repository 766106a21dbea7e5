package backup

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/superfly/ltx"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// Litestream is a replica that Litestream 0.5 has made: LTX files by level, no manifest.
type Litestream struct {
	b     objstore.Bucket
	files []LitestreamFile // by first transaction
	timed bool             // their times are known
}

// LitestreamFile is one LTX file of a replica.
type LitestreamFile struct {
	Key      string
	Level    int
	Min, Max page.TXID
	Size     int64
	Time     time.Time // of its newest transaction; zero unless a plan needed it
}

// LitestreamInfo is what was written.
type LitestreamInfo struct {
	TXID     page.TXID
	Time     time.Time
	PageSize uint32
	Pages    uint32
}

// OpenLitestream lists the replica in a bucket, which begins where Litestream's path ends: below it are ltx/<level>/ in a
// folder, or <level %04x>/ in S3. It fails with ErrNoBackup if there is none.
func OpenLitestream(ctx context.Context, bucket objstore.Bucket) (*Litestream, error) {
	l := &Litestream{b: bucket}
	for _, layout := range []func(int) string{
		func(level int) string { return "ltx/" + strconv.Itoa(level) + "/" },
		func(level int) string { return fmt.Sprintf("%04x/", level) },
	} {
		for level := range LevelFull + 1 {
			prefix := layout(level)
			for info, err := range bucket.List(ctx, prefix, "") {
				if err != nil {
					return nil, fmt.Errorf("listing a Litestream replica in %s: %w", bucket, err)
				}
				first, last, err := ltx.ParseFilename(path.Base(info.Key))
				if err != nil || strings.Count(info.Key[len(prefix):], "/") > 0 || first < 1 || first > last {
					continue // temporary files, a lease
				}
				l.files = append(l.files, LitestreamFile{Key: info.Key, Level: level, Min: page.TXID(first), Max: page.TXID(last), Size: info.Size})
			}
		}
	}
	if len(l.files) == 0 {
		return nil, fmt.Errorf("%w: there is no LTX file below ltx/0/ … ltx/9/ or 0000/ … 0009/ in %s", ErrNoBackup, bucket)
	}
	slices.SortStableFunc(l.files, func(a, b LitestreamFile) int { return cmp.Compare(a.Min, b.Min) })
	return l, nil
}

// Files lists the replica's files by their first transactions.
func (l *Litestream) Files() []LitestreamFile { return slices.Clone(l.files) }

// Plan finds the files that lead to a target: the newest of level 9, then each time the one that leads furthest. A time
// takes a request for each file. It fails with ErrNotRestorable.
func (l *Litestream) Plan(ctx context.Context, t Target) ([]LitestreamFile, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if !t.Time.IsZero() {
		if err := l.readTimes(ctx); err != nil {
			return nil, err
		}
	}
	allowed := func(f *LitestreamFile) bool {
		return f.Max <= t.TXID || t.TXID == 0 && (t.Latest || !f.Time.After(t.Time))
	}
	var plan []LitestreamFile
	var at, newest page.TXID
	for i := range l.files {
		f := &l.files[i]
		if f.Level == LevelFull && f.Min == 1 && allowed(f) && f.Max > at {
			plan, at = []LitestreamFile{*f}, f.Max
		}
		newest = max(newest, f.Max)
	}
	var best *LitestreamFile
	for i := 0; ; {
		for ; i < len(l.files) && l.files[i].Min <= at+1; i++ {
			f := &l.files[i]
			if allowed(f) && (best == nil || f.Max > best.Max || f.Max == best.Max && f.Level > best.Level) {
				best = f
			}
		}
		if best == nil || best.Max <= at {
			break
		}
		plan, at = append(plan, *best), best.Max
	}
	refuse := func(format string, a ...any) ([]LitestreamFile, error) {
		return nil, &NotRestorableError{t, l.ranges(), fmt.Sprintf(format, a...)}
	}
	switch {
	case len(plan) == 0:
		return refuse("no file of the replica is old enough and begins with transaction 1")
	case t.TXID != 0 && at != t.TXID:
		return refuse("no file of the replica ends with it; the nearest before is transaction %d", at)
	case t.Latest && at < newest:
		return refuse("the replica has transaction %d, but those after %d are missing; ask for what there is by its number", newest, at)
	}
	return plan, nil
}

// ranges lists the transactions that can be restored.
func (l *Litestream) ranges() []Range {
	var list []Range
	reached := map[page.TXID]bool{0: true}
	files := slices.Clone(l.files)
	slices.SortStableFunc(files, func(a, b LitestreamFile) int { return cmp.Compare(a.Max, b.Max) })
	var high []page.TXID
	for _, f := range files {
		ok := f.Min == 1
		if n := len(high); !ok && n > 0 {
			i, _ := slices.BinarySearch(high, f.Max)
			ok = i > 0 && high[i-1] >= f.Min-1
		}
		if !ok || reached[f.Max] {
			continue
		}
		reached[f.Max] = true
		high = append(high, f.Max)
		us := f.Time.UnixMicro()
		if f.Time.IsZero() {
			us = 0
		}
		if n := len(list); n > 0 && list[n-1].Last+1 == f.Max {
			list[n-1].Last, list[n-1].LastTime = f.Max, us
			continue
		}
		list = append(list, Range{f.Max, f.Max, us, us})
	}
	return list
}

// readTimes reads the headers: that is where each file's time is right, whatever kind of bucket it has been through.
func (l *Litestream) readTimes(ctx context.Context) error {
	if l.timed {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range l.files {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f := &l.files[i]
			body, _, err := l.b.Get(ctx, f.Key, 0, ltx.HeaderSize)
			if err == nil {
				var h ltx.Header
				h, _, err = ltx.DecodeHeader(body)
				err = errors.Join(err, body.Close())
				f.Time = time.UnixMilli(h.Timestamp).UTC()
			}
			if err != nil {
				cancel(fmt.Errorf("reading the header of %s: %w", f.Key, err))
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.timed = true
	return nil
}

// WriteTo writes the SQLite file as of a target, page by page in order: a page is taken from the newest file of the plan
// that has it. Each file's checksum is checked, so what was written is only of use when WriteTo has returned without an
// error. Errors: ErrNotRestorable, ErrDamaged, those of the bucket and of w.
func (l *Litestream) WriteTo(ctx context.Context, w io.Writer, t Target) (LitestreamInfo, error) {
	plan, err := l.Plan(ctx, t)
	if err != nil {
		return LitestreamInfo{}, fmt.Errorf("reading a Litestream replica in %s: %w", l.b, err)
	}
	info, err := l.write(ctx, w, plan)
	if err != nil {
		return info, fmt.Errorf("reading a Litestream replica in %s: %w", l.b, err)
	}
	return info, nil
}

func (l *Litestream) write(ctx context.Context, w io.Writer, plan []LitestreamFile) (info LitestreamInfo, err error) {
	inputs := make([]*ltxInput, len(plan))
	defer func() {
		for _, in := range inputs {
			if in != nil {
				err = errors.Join(err, in.body.Close())
			}
		}
	}()
	for i, f := range plan {
		if inputs[i], err = l.open(ctx, f); err != nil {
			return info, err
		}
		h, first := inputs[i].dec.Header(), inputs[0].dec.Header()
		if h.PageSize != first.PageSize {
			return info, damaged("%s has pages of %d bytes, and %s of %d: restore to a transaction after the change", f.Key, h.PageSize, plan[0].Key, first.PageSize)
		}
	}
	last := inputs[len(inputs)-1].dec.Header()
	info = LitestreamInfo{plan[len(plan)-1].Max, time.UnixMilli(last.Timestamp).UTC(), last.PageSize, last.Commit}
	lock := ltx.LockPgno(last.PageSize)
	out := bufio.NewWriterSize(w, 1<<20)
	for no := uint64(1); no <= uint64(last.Commit); no++ {
		if no&1023 == 0 && ctx.Err() != nil {
			return info, context.Cause(ctx)
		}
		data, err := newestPage(inputs, uint32(no))
		if err != nil {
			return info, err
		}
		if data == nil {
			if uint32(no) != lock {
				return info, damaged("page %d of %d is in none of the %d files of transaction %d", no, last.Commit, len(plan), info.TXID)
			}
			data = page.Zeros(last.PageSize)
		}
		if _, err := out.Write(data); err != nil {
			return info, err
		}
	}
	for _, in := range inputs {
		if err := in.finish(); err != nil {
			return info, err
		}
	}
	return info, out.Flush()
}

// newestPage takes page no from the newest input that has it; nil: none has.
func newestPage(inputs []*ltxInput, no uint32) ([]byte, error) {
	var data []byte
	for i := len(inputs) - 1; i >= 0; i-- {
		in := inputs[i]
		if err := in.advance(no); err != nil {
			return nil, err
		}
		if data == nil && in.at == no {
			data = in.data
		}
	}
	return data, nil
}

// ltxInput reads one file page by page.
type ltxInput struct {
	key  string
	body io.ReadCloser
	r    *bufio.Reader
	dec  *ltx.Decoder
	at   uint32 // page in data; 0: before the first
	done bool
	data []byte
}

func (l *Litestream) open(ctx context.Context, f LitestreamFile) (*ltxInput, error) {
	body, _, err := l.b.Get(ctx, f.Key, 0, -1)
	if err != nil {
		return nil, err
	}
	in := &ltxInput{key: f.Key, body: body, r: bufio.NewReaderSize(body, 128<<10)}
	in.dec = ltx.NewDecoder(in.r)
	in.dec.SetRetainPageIndex(false)
	if err := in.dec.DecodeHeader(); err != nil {
		return nil, errors.Join(in.fail(err), body.Close())
	}
	h := in.dec.Header()
	if page.TXID(h.MinTXID) != f.Min || page.TXID(h.MaxTXID) != f.Max || h.Commit == 0 {
		return nil, errors.Join(damaged("%s says that it has transactions %d to %d, and %d pages", f.Key, h.MinTXID, h.MaxTXID, h.Commit), body.Close())
	}
	in.data = make([]byte, h.PageSize)
	return in, nil
}

// fail says whether it is the bucket's error or the file's.
func (in *ltxInput) fail(err error) error {
	var store *objstore.Error
	if errors.As(err, &store) || errors.Is(err, objstore.ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("reading %s: %w", in.key, err)
	}
	return damaged("%s: %w", in.key, err)
}

// advance goes on to page no, or to the next one after it.
func (in *ltxInput) advance(no uint32) error {
	for !in.done && in.at < no {
		// A frame that says it has more bytes than a page can have is refused before anyone makes room for it.
		if b, err := in.r.Peek(ltx.PageHeaderSize + 4); err == nil && binary.BigEndian.Uint32(b) != 0 && binary.BigEndian.Uint16(b[4:])&ltx.PageHeaderFlagSize != 0 {
			if n, most := binary.BigEndian.Uint32(b[ltx.PageHeaderSize:]), uint32(len(in.data)+len(in.data)/255+16); n > most {
				return damaged("%s: a page frame of %d bytes", in.key, n)
			}
		}
		var h ltx.PageHeader
		err := in.dec.DecodePage(&h, in.data)
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && h.Pgno == 0 {
			in.done = true
			return nil
		}
		if err != nil {
			return in.fail(err)
		}
		if h.Pgno <= in.at {
			return damaged("%s: page %d after page %d", in.key, h.Pgno, in.at)
		}
		in.at = h.Pgno
	}
	return nil
}

// finish reads what is left, and checks the file's checksum.
func (in *ltxInput) finish() error {
	for !in.done {
		if err := in.advance(in.at + 1); err != nil {
			return err
		}
	}
	if err := in.dec.Close(); err != nil {
		return in.fail(err)
	}
	return nil
}
