package aof

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// cold is what the uploader knows of the bucket. The uploader alone uses it, but for what mu of the log guards.
type cold struct {
	manifest *manifest // as the bucket has it; nil: not read yet
	etag     string
	unclean  bool // objects that the manifest doesn't name may be there

	// ---- guarded by Log.mu
	attached bool  // the manifest was read and its segments are known
	refusal  error // why the bucket can't be used, for good
}

func (l *Log) bucket() objstore.Bucket { return l.o.Tiers.Bucket }

// upload takes the next step of making the bucket hold what it should.
func (l *Log) upload(ctx context.Context) (more bool, err error) {
	c := &l.cold
	if l.bucket() == nil || l.refused() != nil {
		return false, nil
	}
	if c.manifest == nil {
		if err := l.attach(ctx); err != nil {
			return false, l.refuse(err)
		}
		return true, nil
	}
	l.mu.RLock()
	s := l.toUpload()
	var from *form
	if s != nil {
		from = s.forms[Warm]
		from.refs.Add(1)
	}
	want := l.entries()
	l.mu.RUnlock()
	if from != nil {
		defer from.release()
		if err := l.uploadOne(ctx, s, from, want); err != nil {
			if errors.Is(err, ErrDamaged) {
				return true, l.tainted(s, err)
			}
			return false, l.refuse(fmt.Errorf("uploading segment %d: %w", s.header.sequence, err))
		}
		l.look()
		return true, nil
	}
	if !slices.EqualFunc(want, c.manifest.Segments, func(a, b manifestEntry) bool { return a.Key == b.Key }) {
		if err := l.swap(ctx, want); err != nil {
			return false, l.refuse(err)
		}
		c.unclean = true
	}
	if c.unclean {
		if err := l.clean(ctx); err != nil {
			return false, l.refuse(fmt.Errorf("removing objects that the log doesn't need: %w", err))
		}
		c.unclean = false
	}
	return false, nil
}

// entries are those of the segments that have cold forms, as the manifest has them. mu is held.
func (l *Log) entries() []manifestEntry {
	known := map[string]*manifestEntry{}
	for i := range l.cold.manifest.Segments {
		known[l.cold.manifest.Segments[i].Key] = &l.cold.manifest.Segments[i]
	}
	var list []manifestEntry
	for _, s := range l.segments {
		if f := s.forms[Cold]; f != nil && known[f.name] != nil {
			list = append(list, *known[f.name])
		}
	}
	return list
}

// uploadOne puts a segment's object, checks that the bucket has it, and then names it in the manifest. Only then is it
// a form of the segment, and other copies may go.
func (l *Log) uploadOne(ctx context.Context, s *segment, from *form, want []manifestEntry) (err error) {
	ctx, done := l.moving(ctx, "upload", s)
	defer done(&err)
	foot, err := l.open(ctx, s, from)
	if err != nil {
		return err
	}
	src := l.compressed(ctx, from)
	sum, err := checksum(src, from.bytes)
	if err != nil {
		return err
	}
	if sum != from.summary.CRC32C && from.summary.CRC32C != 0 {
		return &DamageError{Damage{File: from.name, Reason: "the file changed since it was written"}}
	}
	e := entryOf(foot, from.bytes, sum)
	_, err = l.bucket().Put(ctx, e.Key, src, e.Bytes, objstore.PutOptions{IfAbsent: true, CRC32C: &sum})
	if err != nil && !errors.Is(err, objstore.ErrExists) { // an earlier try, or an earlier process, brought it there
		return err
	}
	if err := objstore.Verify(ctx, l.bucket(), e.Key, e.Bytes, sum); err != nil {
		return fmt.Errorf("verifying %s in %s: %w", e.Key, l.bucket(), err)
	}
	i, _ := slices.BinarySearchFunc(want, e, func(a, b manifestEntry) int { return int(a.Sequence) - int(b.Sequence) })
	if err := l.swap(ctx, slices.Insert(want, i, e)); err != nil {
		return err
	}
	l.install(s, newForm(Cold, e.Key, e.Bytes))
	return nil
}

// tainted gives up a warm form that turned out damaged: it is made again if the segment's file is still there.
func (l *Log) tainted(s *segment, err error) error {
	l.mu.Lock()
	f := s.forms[Warm]
	again := s.forms[Hot] != nil
	if again {
		s.forms[Warm] = nil
	} else {
		s.bad = true
	}
	l.mu.Unlock()
	l.o.Logger.Error("a damaged segment isn't uploaded", "file", f.name, "err", err)
	if again {
		return l.dropForm(s, f)
	}
	return nil
}

// swap replaces the manifest, if it is still the one that this process knows.
func (l *Log) swap(ctx context.Context, segments []manifestEntry) error {
	c := &l.cold
	m := &manifest{Format: manifestFormat, Epoch: l.o.Tiers.Epoch, Segments: segments}
	if m.Segments == nil {
		m.Segments = []manifestEntry{}
	}
	etag, err := writeManifest(ctx, l.bucket(), m, c.etag)
	if errors.Is(err, objstore.ErrChanged) || errors.Is(err, objstore.ErrExists) || errors.Is(err, objstore.ErrNotFound) {
		return l.overtaken(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("replacing the manifest: %w", err)
	}
	c.manifest, c.etag = m, etag
	return nil
}

// overtaken looks who replaced the manifest: this process, in a put whose answer was lost, or another owner.
func (l *Log) overtaken(ctx context.Context, m *manifest) error {
	now, etag, err := readManifest(ctx, l.bucket())
	switch {
	case err != nil:
		return fmt.Errorf("reading the manifest again: %w", err)
	case now == nil:
		return fmt.Errorf("%w: the manifest in %s was removed", ErrFenced, l.bucket())
	case now.Epoch == m.Epoch && slices.Equal(now.Segments, m.Segments):
		l.cold.manifest, l.cold.etag = now, etag
		return nil
	}
	return &FencedError{Bucket: l.bucket().String(), Epoch: m.Epoch, Found: now.Epoch}
}

// clean removes the objects that the manifest doesn't name. It follows a swap that succeeded, so no other owner can
// have a manifest that names them.
func (l *Log) clean(ctx context.Context) error {
	named := map[string]bool{}
	for _, e := range l.cold.manifest.Segments {
		named[e.Key] = true
	}
	l.mu.RLock()
	for _, s := range l.segments {
		named[objectKey(&s.header)] = true
	}
	l.mu.RUnlock()
	var old []string
	for info, err := range l.bucket().List(ctx, segmentsPrefix, "") {
		if err != nil {
			return err
		}
		if !named[info.Key] {
			old = append(old, info.Key)
		}
	}
	if len(old) == 0 {
		return nil
	}
	return l.bucket().Delete(ctx, old...)
}

// attach reads the manifest, takes the bucket over for this epoch and learns of the segments that are there.
func (l *Log) attach(ctx context.Context) error {
	m, etag, err := readManifest(ctx, l.bucket())
	if err != nil {
		return fmt.Errorf("reading the manifest: %w", err)
	}
	epoch := l.o.Tiers.Epoch
	if m == nil {
		if m, err = listManifest(ctx, l.bucket()); err != nil {
			return fmt.Errorf("making the manifest of the bucket's objects: %w", err)
		}
		if len(m.Segments) > 0 {
			l.o.Logger.Warn("the bucket has no manifest, it was made of the objects that are there", "bucket", l.bucket().String(), "segments", len(m.Segments))
		}
	} else if m.Epoch > epoch {
		return &FencedError{Bucket: l.bucket().String(), Epoch: epoch, Found: m.Epoch}
	}
	if err := l.merge(m); err != nil {
		return err
	}
	l.cold.manifest, l.cold.etag = m, etag
	if m.Epoch != epoch || etag == "" {
		if err := l.swap(ctx, m.Segments); err != nil {
			l.cold.manifest = nil
			return err
		}
	}
	l.mu.Lock()
	l.cold.attached = true
	l.cold.unclean = true
	l.wakeReaders()
	l.mu.Unlock()
	l.arrive()
	l.look()
	return nil
}

// merge adds what the bucket holds to what the folder holds.
func (l *Log) merge(m *manifest) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.segments[len(l.segments)-1]
	var more []*segment
	for i := range m.Segments {
		e := &m.Segments[i]
		if e.Sequence > last.header.sequence || e.Sequence == last.header.sequence && !last.sealed {
			return &BucketAheadError{Bucket: l.bucket().String(), Next: e.Next, Local: l.visible}
		}
		j, found := slices.BinarySearchFunc(l.segments, e.Sequence, func(s *segment, q uint64) int { return int(s.header.sequence) - int(q) })
		switch {
		case found && l.segments[j].header.salt != uint64(e.Salt):
			return fmt.Errorf("%w: %s and %s are different segments", ErrForeignBucket, e.Key, l.segments[j].name)
		case found && l.segments[j].forms[Cold] == nil:
			l.segments[j].forms[Cold], l.segments[j].fresh = newForm(Cold, e.Key, e.Bytes), true
		case !found && e.Next > l.head:
			s := e.segment(l.dir)
			s.fresh, s.closed = true, time.Unix(0, e.Created)
			more = append(more, s)
		}
	}
	l.segments = append(more, l.segments...)
	slices.SortFunc(l.segments, func(a, b *segment) int { return int(a.header.sequence) - int(b.header.sequence) })
	l.relimit()
	for _, s := range l.takeDead() {
		for _, f := range s.forms {
			f.release()
		}
	}
	return nil
}

// relimit cuts off what later segments replaced. mu is held.
func (l *Log) relimit() {
	limit := Position(0)
	for i := len(l.segments) - 1; i >= 0; i-- {
		s := l.segments[i]
		if limit != 0 && limit < s.next {
			s.limit = limit
		}
		if limit == 0 || s.base < limit {
			limit = s.base
		}
	}
}

// unattached tells whether the bucket may hold records that aren't known yet. mu is held.
func (l *Log) unattached() bool {
	return l.bucket() != nil && !l.cold.attached && l.cold.refusal == nil
}

func (l *Log) refused() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.cold.refusal
}

// refuse remembers errors after which the bucket isn't touched again; others are tried again.
func (l *Log) refuse(err error) error {
	if !errors.Is(err, ErrFenced) && !errors.Is(err, ErrForeignBucket) && !errors.Is(err, ErrBucketAhead) && !errors.Is(err, ErrNewerFormat) {
		return err
	}
	l.o.Logger.Error("the bucket isn't used from now on", "bucket", l.bucket().String(), "err", err)
	l.mu.Lock()
	l.cold.refusal = err
	l.mu.Unlock()
	l.arrive()
	return nil
}
