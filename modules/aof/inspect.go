package aof

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// Report says what a log's folder and its bucket hold.
type Report struct {
	Dir      string          `json:"dir"`
	First    Position        `json:"first"` // of the oldest record
	Next     Position        `json:"next"`  // after the last one
	Segments []SegmentReport `json:"segments"`
	Spares   int             `json:"spares"`
	Bytes    int64           `json:"bytes"`            // of all files
	Catalog  bool            `json:"catalog"`          // there is one
	Others   []string        `json:"others,omitempty"` // files that aren't the log's
	Epoch    *uint64         `json:"epoch,omitempty"`  // of the bucket's owner
	Findings []Finding       `json:"findings"`
}

// SegmentReport describes a segment.
type SegmentReport struct {
	Sequence uint64       `json:"sequence"`
	First    Position     `json:"first"`
	Next     Position     `json:"next"`
	Records  uint64       `json:"records"`
	Used     int64        `json:"used"` // bytes of headers and batches, uncompressed
	Sealed   bool         `json:"sealed"`
	Created  time.Time    `json:"created"`
	Copies   []CopyReport `json:"copies"`
}

// CopyReport is one copy of a segment.
type CopyReport struct {
	Tier  string `json:"tier"`
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Finding is something that isn't as it should be.
type Finding struct {
	Name   string   `json:"name"` // of the file or object
	Offset int64    `json:"offset"`
	First  Position `json:"first,omitempty"` // records that are concerned; 0: none
	Last   Position `json:"last,omitempty"`
	Reason string   `json:"reason"`
	Advice string   `json:"advice"`
}

// What can be done about findings.
const (
	adviceOther   = "another copy of the segment is whole, and is read instead"
	adviceRestore = "restore the segment from a copy elsewhere; what is around it stays readable"
	adviceCatalog = "remove the file while the log is closed; it is made anew"
	adviceBucket  = "open the log with the bucket, which mends it, or restore the object"
	adviceNone    = "nothing is lost"
)

// folder is a log's folder that is looked at without being opened as a log: nothing in it is changed.
type folder struct {
	l      *Log // for its options; it isn't open
	report *Report
	opened []*form
}

// Inspect says what the log in a folder holds, by the headers, footers and summaries of its files; the last segment is
// read. It takes no lock and changes nothing, so that it can look at a log that is open; what that one is just
// doing may then show as a finding. Of o the file system, the bucket and its prefix count.
func Inspect(ctx context.Context, dir string, o Options) (*Report, error) {
	f, err := peek(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	defer f.close()
	return f.report, nil
}

// Verify reads every byte of every copy of every segment, in the folder and in the bucket, and checks all checksums, that
// positions follow each other, and that the copies of a segment are of the same segment. It changes nothing. The log must
// not be open: ErrLocked. progress, if not nil, is told how many of how many bytes are done.
func Verify(ctx context.Context, dir string, o Options, progress func(done, total int64)) (*Report, error) {
	fs := o
	fs.defaults(dir)
	if _, err := fs.FS.ReadDir(dir); err != nil {
		return nil, fmt.Errorf("aof: listing the folder: %w", err)
	}
	lock, err := fs.FS.Lock(dir)
	if err != nil {
		return nil, fmt.Errorf("aof: locking the folder: %w", err)
	}
	defer lock.Close()
	f, err := peek(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	defer f.close()
	return f.report, f.l.verify(ctx, f.report, progress)
}

// peek finds the segments of a folder and of its bucket.
func peek(ctx context.Context, dir string, o Options) (*folder, error) {
	o.defaults(dir)
	f := &folder{l: &Log{dir: dir, o: o, cache: o.Tiers.Cache}, report: &Report{Dir: dir, Findings: []Finding{}, Segments: []SegmentReport{}}}
	names, err := o.FS.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("aof: listing the folder: %w", err)
	}
	for _, name := range names {
		if err := f.file(ctx, name); err != nil {
			f.close()
			return nil, fmt.Errorf("aof: looking at %s: %w", name, err)
		}
	}
	if f.l.bucket() != nil {
		if err := f.bucket(ctx); err != nil {
			f.close()
			return nil, fmt.Errorf("aof: looking at %s: %w", f.l.bucket(), err)
		}
	}
	f.l.gather()
	f.l.relimit()
	f.summarise()
	return f, nil
}

func (f *folder) close() {
	for _, s := range f.l.segments {
		s.release()
	}
}

func (f *folder) find(name string, offset int64, s *segment, reason, advice string) {
	x := Finding{Name: name, Offset: offset, Reason: reason, Advice: advice}
	if s != nil && s.next > s.base {
		x.First, x.Last = s.base, s.next-1
	}
	f.report.Findings = append(f.report.Findings, x)
}

// file looks at one file.
func (f *folder) file(ctx context.Context, name string) error {
	path := filepath.Join(f.l.dir, name)
	switch {
	case strings.HasSuffix(name, ".seg"):
		return f.hot(path)
	case strings.HasSuffix(name, warmSuffix):
		return f.warm(ctx, path)
	case strings.HasSuffix(name, spareSuffix):
		f.report.Spares++
	case name == catalogName:
		f.report.Catalog = true
	case name == "lock", strings.HasSuffix(name, newSuffix), isPart(name):
	default:
		f.report.Others = append(f.report.Others, name)
	}
	return nil
}

func (f *folder) hot(path string) error {
	file, err := f.l.o.FS.OpenFile(path, os.O_RDONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it was moved meanwhile
	}
	if err != nil {
		return err
	}
	s := &segment{name: path, file: file}
	err = s.load()
	if errors.Is(err, ErrDamaged) {
		f.find(path, 0, nil, noHeader, adviceRestore)
		return file.Close()
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	for _, off := range s.badCopy {
		f.find(path, off, nil, "a copy of the segment's header is damaged, the other one is used", adviceNone)
	}
	s.hot()
	if !s.sealed {
		w := walker{s: s, off: dataStart, sum: s.header.prev, chained: true, expect: s.base}
		for {
			h, off, _, err := w.next()
			if err != nil {
				return errors.Join(err, s.release())
			}
			if h == nil {
				break
			}
			s.note(h, off)
		}
	}
	f.l.segments = append(f.l.segments, s)
	return nil
}

func (f *folder) warm(ctx context.Context, path string) error {
	form := newForm(Warm, path, 0)
	err := f.l.sizeOf(form)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		_, err = f.l.open(ctx, nil, form)
	}
	if d := (*DamageError)(nil); errors.As(err, &d) {
		f.find(path, d.Offset, nil, d.Reason, adviceRestore)
		return form.release()
	}
	if err != nil {
		return errors.Join(err, form.release())
	}
	e := entryOf(form.foot, form.bytes, 0)
	s := e.segment(f.l.dir)
	s.forms[Cold], s.forms[Warm] = nil, form
	f.l.segments = append(f.l.segments, s)
	return nil
}

// bucket looks at the manifest and at which objects there are.
func (f *folder) bucket(ctx context.Context) error {
	m, _, err := readManifest(ctx, f.l.bucket())
	if d := (*DamageError)(nil); errors.As(err, &d) {
		f.find(manifestKey, d.Offset, nil, d.Reason, "remove the object; it is made anew of the segments' objects")
		m, err = listManifest(ctx, f.l.bucket())
	}
	if err != nil || m == nil {
		return err
	}
	f.report.Epoch = &m.Epoch
	objects := map[string]objstore.Info{}
	for info, err := range f.l.bucket().List(ctx, segmentsPrefix, "") {
		if err != nil {
			return err
		}
		objects[info.Key] = info
	}
	for i := range m.Segments {
		e := &m.Segments[i]
		s := e.segment(f.l.dir)
		if info, there := objects[e.Key]; !there || info.Size != e.Bytes {
			reason := "the manifest names it, and it isn't there"
			if there {
				reason = fmt.Sprintf("it has %d bytes, the manifest says %d", info.Size, e.Bytes)
			}
			f.find(e.Key, 0, s, reason, adviceBucket)
		}
		delete(objects, e.Key)
		f.l.segments = append(f.l.segments, s)
	}
	for _, info := range objects {
		f.find(info.Key, 0, nil, "the manifest doesn't name it", "nothing: it is removed when the log is opened")
	}
	return nil
}

// summarise fills the report.
func (f *folder) summarise() {
	r := f.report
	r.First, r.Next = 1, 1
	for i, s := range f.l.segments {
		x := SegmentReport{Sequence: s.header.sequence, First: s.base, Next: s.until(), Records: s.count, Used: s.end, Sealed: s.sealed, Created: time.Unix(0, s.header.created).UTC()}
		for _, c := range s.forms {
			if c != nil {
				x.Copies = append(x.Copies, CopyReport{c.tier.String(), c.name, c.bytes})
				if c.tier != Cold {
					r.Bytes += c.bytes
				}
			}
		}
		if i == 0 {
			r.First = s.base
		} else if before := f.l.segments[i-1]; s.base > before.next {
			r.Findings = append(r.Findings, Finding{Name: s.name, First: before.next, Last: s.base - 1, Reason: "records are missing before this segment", Advice: adviceRestore})
		}
		r.Next = s.until()
		r.Segments = append(r.Segments, x)
	}
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Offset, b.Offset))
	})
}

// windowReader reads an object in order through a window, past the cache.
type windowReader struct {
	rangeReader
	size  int64
	buf   []byte
	start int64
}

func (w *windowReader) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off + int64(n)
		if at >= w.size {
			return n, io.EOF
		}
		if at < w.start || at >= w.start+int64(len(w.buf)) {
			w.buf = make([]byte, min(4<<20, w.size-at))
			if _, err := w.rangeReader.ReadAt(w.buf, at); err != nil {
				w.buf = nil
				return n, err
			}
			w.start = at
		}
		n += copy(p[n:], w.buf[at-w.start:])
	}
	return n, nil
}
