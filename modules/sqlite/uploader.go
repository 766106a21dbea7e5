package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagestore"
)

// Every database has an uploader, an actor that makes the bucket hold what it should as long as this server leads, and
// looks what others have made it hold as long as it doesn't. It is the only one here that writes to the bucket: snapshots
// that somebody asks for are messages to it. Under its fence epoch, the leadership's, a deposed one can do no harm.
const (
	longestUploadPause = 30 * time.Second
	pollInterval       = 15 * time.Second
	expireInterval     = 10 * time.Minute
	nudgeInterval      = 10 * time.Minute
)

// Messages of an uploader.
type (
	uploadTick  struct{} // look whether something is due
	snapshotNow struct {
		ctx  context.Context
		o    SnapshotOptions
		done chan<- snapshotDone
	}
	uploadNow struct { // bring the bucket up to date
		ctx  context.Context
		done chan<- error
	}
	withWriter struct { // do something else that only the writer may
		ctx  context.Context
		fn   func(ctx context.Context, w *backup.Writer) error
		done chan<- error
	}
)

type snapshotDone struct {
	o   backup.Object
	err error
}

type spawnUploader struct {
	db   *DB
	done chan<- struct{}
}

// uploader is the actor.
type uploader struct {
	db     *DB
	writer *backup.Writer

	failures  int       // in a row
	next      time.Time // not before
	polled    time.Time
	pages     time.Time // of the last page objects
	expired   time.Time
	scheduled time.Time
	nudged    time.Time // the owner, last
	checked   time.Time // a restore, last
	checking  atomic.Bool
}

// Receive implements actor.Actor.
func (u *uploader) Receive(ctx actor.Context) {
	db := u.db
	switch m := ctx.Message().(type) {
	case *uploadTick:
		db.uploadDue.Store(false)
		if time.Now().Before(u.next) {
			return
		}
		u.note(u.tick(db.host.life))
	case *snapshotNow:
		ctx, stop := db.host.bounded(m.ctx)
		o, err := u.snapshot(ctx, m.o)
		stop()
		m.done <- snapshotDone{o, err}
	case *uploadNow:
		ctx, stop := db.host.bounded(m.ctx)
		err := u.all(ctx)
		stop()
		m.done <- err
	case *withWriter:
		ctx, stop := db.host.bounded(m.ctx)
		err := u.lead(ctx)
		if err == nil {
			err = m.fn(ctx, u.writer)
			u.learn()
		}
		stop()
		m.done <- err
	case *actor.Stopped:
		close(db.uploaderGone)
	}
}

// bounded ends with ctx, or with the host.
func (h *Host) bounded(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(h.life, func() { cancel(ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// note accounts for an attempt, and lets time pass after one that failed.
func (u *uploader) note(err error) {
	db := u.db
	h := db.host
	if err == nil {
		if u.failures > 0 {
			h.o.Logger.Info("the bucket takes what is written again", "database", db.Name())
		}
		u.failures, u.next = 0, time.Time{}
		h.uploadFailure.Store(nil)
		return
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, ErrNotLeader) || errors.Is(err, ErrClosed) {
		return
	}
	h.uploadFailure.Store(&err)
	h.metrics.cold.uploadFailures.Add(context.Background(), 1)
	pause := min(time.Second<<min(u.failures, 10), longestUploadPause)
	if u.failures == 0 || u.failures%20 == 0 {
		h.o.Logger.Warn("the bucket doesn't take what is written, it is tried again", "database", db.Name(), "in", pause, "error", err)
	}
	u.failures++
	u.next = time.Now().Add(pause)
}

// tick does what is due.
func (u *uploader) tick(ctx context.Context) error {
	db := u.db
	if time.Since(u.nudged) > nudgeInterval {
		u.nudged = time.Now()
		db.host.want(db.segment, false) // its pin has to be renewed
	}
	if db.host.Writable() != nil {
		u.writer = nil
		if time.Since(u.polled) < pollInterval {
			return nil
		}
		u.polled = time.Now()
		err := db.poll(ctx)
		db.host.want(db.segment, false) // the owner lets pages leave, and the log go
		return err
	}
	if db.current().Heads().Committed.Pages == 0 || db.Err() != nil {
		return nil
	}
	if err := u.lead(ctx); err != nil {
		return err
	}
	if err := u.upload(ctx, false); err != nil {
		return err
	}
	return u.tidy(ctx)
}

// lead makes sure that there is a writer of the present leadership.
func (u *uploader) lead(ctx context.Context) error {
	db := u.db
	h := db.host
	if err := h.Writable(); err != nil {
		return err
	}
	epoch, err := h.log.Epoch()
	if err != nil {
		return err
	}
	space := db.cold.in(db.ident())
	if u.writer != nil && u.writer.Epoch() == epoch && u.writer.Space() == space && u.writer.Stopped() == nil {
		return nil
	}
	w, err := space.Writer(ctx, epoch)
	if err != nil {
		return err
	}
	if db == h.registry {
		id := db.ident()
		if err := backup.StoreRoot(ctx, h.o.Cold.Bucket, backup.Root{System: id.Database, Lineage: id.Lineage, Epoch: epoch, Cluster: h.o.Cold.Node}); err != nil {
			return err
		}
	}
	u.writer = w
	u.learn()
	return nil
}

// learn tells the rest of the server what the bucket has.
func (u *uploader) learn() { u.db.cold.learn(u.writer.Manifest()) }

// upload brings the bucket up to date: the log always, pages when they are due or wanted.
func (u *uploader) upload(ctx context.Context, pages bool) error {
	db := u.db
	sn, err := u.pin()
	if err != nil {
		return err
	}
	defer sn.Release()
	if err := u.keyed(ctx); err != nil {
		return err
	}
	m := u.writer.Manifest()
	last, size := reached(m)
	h := db.host
	if ahead := max(last, newestLog(m)); ahead > sn.State.TXID {
		return fmt.Errorf("%w: it has transaction %d, and the newest here is %d: this folder is older than the bucket; start with an empty folder, which takes over what the bucket has, or with another bucket or prefix",
			ErrBucketAhead, ahead, sn.State.TXID)
	}
	if last == sn.State.TXID && last > 0 {
		if chain, err := m.Chain(0); err == nil && chain[len(chain)-1].State.Checksum != sn.State.Checksum {
			return fmt.Errorf("%w: its transaction %d is another one than the one here", ErrBucketAhead, last)
		}
	}
	if last == 0 || size != sn.State.Size {
		o, err := u.putFull(ctx, sn, backup.PurposeUpload, "", nil)
		if err != nil {
			return err
		}
		return u.commit(ctx, sn, func(m *backup.Manifest) { m.Add(o) })
	}
	logs, err := u.putLogs(ctx, m, sn)
	if err != nil {
		return err
	}
	gap := logs.Last == 0 && newestLog(m) < sn.State.TXID && last < sn.State.TXID
	due := pages || gap || time.Since(u.pages) >= h.o.Cold.PageInterval || logs.Size >= h.o.Cold.PageBytes || db.cold.sinceLogs(m, last)+logs.Size >= h.o.Cold.PageBytes
	var o backup.Object
	if due && last < sn.State.TXID {
		if o, err = u.putChanges(ctx, sn, last, backup.PurposeUpload, "", nil); err != nil {
			return err
		}
	}
	if logs.Last == 0 && o.Max == 0 {
		return nil
	}
	return u.commit(ctx, sn, func(m *backup.Manifest) {
		if logs.Last > 0 {
			m.AddLog(logs)
		}
		if o.Max > 0 {
			m.Add(o)
		}
	})
}

// commit swaps the manifest and lets the owner make use of it.
func (u *uploader) commit(ctx context.Context, sn *pagestore.Snapshot, change func(m *backup.Manifest)) error {
	db := u.db
	name := db.Name()
	if err := u.writer.Commit(ctx, func(m *backup.Manifest) error {
		m.Name = name
		change(m)
		return nil
	}); err != nil {
		return err
	}
	u.learn()
	m := u.writer.Manifest()
	if last, _ := reached(m); last > 0 {
		db.current().Settled(last)
	}
	db.host.want(db.segment, false)
	return nil
}

// reached is the newest transaction that page objects have, and the page size there; 0: there are none.
func reached(m *backup.Manifest) (page.TXID, uint32) {
	chain, err := m.Chain(0)
	if err != nil || len(chain) == 0 {
		return 0, 0
	}
	last := chain[len(chain)-1]
	return last.Max, last.State.Size
}

// newestLog is the newest transaction that log objects have.
func newestLog(m *backup.Manifest) (t page.TXID) {
	for i := range m.Logs {
		t = max(t, m.Logs[i].Last)
	}
	return t
}

// sinceLogs is how many bytes of log the bucket has behind its pages.
func (c *cold) sinceLogs(m *backup.Manifest, last page.TXID) (n int64) {
	for i := range m.Logs {
		if m.Logs[i].First > last {
			n += m.Logs[i].Size
		}
	}
	return n
}

// source is a snapshot as what pages are uploaded from.
type source struct {
	ctx context.Context
	sn  *pagestore.Snapshot
}

func (s source) Page(no uint32, buf []byte) ([]byte, uint64, error) { return s.sn.Peek(s.ctx, no, buf) }

// putFull puts all pages.
func (u *uploader) putFull(ctx context.Context, sn *pagestore.Snapshot, why backup.Purpose, label string, progress Progress) (backup.Object, error) {
	o, err := u.writer.PutPages(ctx, source{ctx, sn}, nil, 0, backup.PageUpload{
		Level: backup.LevelFull, Min: 1, State: sn.State, Position: sn.Position, Purpose: why, Label: label, Progress: progress, Anew: u.staleKey(), Limit: u.polite(),
	})
	if err == nil {
		u.pages = time.Now()
		u.count(o)
	}
	return o, err
}

// putChanges puts the pages that have changed since a transaction that the bucket's pages have.
func (u *uploader) putChanges(ctx context.Context, sn *pagestore.Snapshot, since page.TXID, why backup.Purpose, label string, progress Progress) (backup.Object, error) {
	db := u.db
	last, _ := reached(u.writer.Manifest())
	nos, known := db.current().Changed(sn, last)
	if !known {
		if err := u.track(ctx, sn, last); err != nil {
			return backup.Object{}, err
		}
		nos, _ = db.current().Changed(sn, last)
	}
	if since < last {
		// What the bucket's own objects say of the stretch before.
		more, err := u.changedBefore(ctx, since, last, sn.State.Pages)
		if err != nil {
			return backup.Object{}, err
		}
		nos = append(nos, more...)
		slices.Sort(nos)
		nos = slices.Compact(nos)
	}
	if len(nos) == 0 {
		nos = []uint32{1} // an object has a page, and transactions may change none
	}
	o, err := u.writer.PutPages(ctx, source{ctx, sn}, slices.Values(nos), int64(len(nos)), backup.PageUpload{
		Level: backup.LevelUpload, Min: since + 1, State: sn.State, Position: sn.Position, Purpose: why, Label: label, Progress: progress, Limit: u.polite(),
	})
	if err == nil {
		u.pages = time.Now()
		u.count(o)
	}
	return o, err
}

// polite leaves most of the time to who commits meanwhile.
func (u *uploader) polite() func(context.Context, int) error {
	return backup.Polite(func() TXID { return u.db.Heads().Committed })
}

func (u *uploader) count(o backup.Object) {
	u.db.host.metrics.cold.uploaded.Add(context.Background(), o.Size+o.Index.Size)
}

// staleKey tells whether an object that the newest state needs is sealed otherwise than new ones are.
func (u *uploader) staleKey() bool {
	k := u.db.current().Keys()
	if k == nil {
		return false
	}
	chain, _ := u.writer.Manifest().Chain(0)
	return slices.ContainsFunc(chain, func(r pageobj.Ref) bool { return r.Header == nil || crypt.ObjectKey(r.Header) != k.Current() })
}

// changedBefore lists the pages that objects of the bucket hold for transactions after since.
func (u *uploader) changedBefore(ctx context.Context, since, last page.TXID, pages uint32) (nos []uint32, err error) {
	v, err := u.view(last)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	err = v.Changed(ctx, since, func(no uint32) error {
		if no <= pages {
			nos = append(nos, no)
		}
		return nil
	})
	return nos, err
}

func (u *uploader) view(at page.TXID) (*pageobj.View, error) {
	db := u.db
	chain, err := u.writer.Manifest().Chain(at)
	if err != nil {
		return nil, err
	}
	return pageobj.Open(context.Background(), pageobj.ViewOptions{
		Bucket: u.writer.Space().Objects(), Keys: db.cold.keyring, Refs: chain, Metrics: &db.host.metrics.cold.views, ReadAhead: -1,
	})
}

// track finds out what has changed since the bucket's pages, by comparing checksums: the store only knows of what it has
// seen come. Pages that are in the bucket alone have not.
func (u *uploader) track(ctx context.Context, sn *pagestore.Snapshot, last page.TXID) error {
	v, err := u.view(last)
	if err != nil {
		return err
	}
	defer v.Close()
	start := time.Now()
	var nos []uint32
	for no := uint32(1); no <= sn.State.Pages; no++ {
		local, sum, err := sn.Local(no)
		if err != nil {
			return err
		}
		if !local {
			continue
		}
		have, err := v.Sum(ctx, no)
		if err != nil {
			return err
		}
		if have != sum || no > v.State().Pages {
			nos = append(nos, no)
		}
	}
	u.db.current().Touch(nos, last)
	u.db.host.o.Logger.Debug("compared the pages with the bucket's", "database", u.db.Name(), "changed", len(nos), "took", time.Since(start))
	return nil
}

// all brings everything that is committed now to the bucket.
func (u *uploader) all(ctx context.Context) error {
	if err := u.lead(ctx); err != nil {
		return err
	}
	if u.db.current().Heads().Committed.Pages == 0 {
		return nil
	}
	return u.upload(ctx, true)
}

// tidy merges small objects, takes the snapshots that are due, and lets go of what isn't needed any more.
func (u *uploader) tidy(ctx context.Context) error {
	h := u.db.host
	if err := u.schedule(ctx); err != nil {
		return err
	}
	if u.staleKey() {
		if _, err := u.full(ctx, backup.PurposeUpload, "", nil); err != nil {
			return err
		}
	}
	if g := backup.NextMerge(u.writer.Manifest(), h.o.Cold.Policy); g != nil {
		if g.Kind == backup.MergeFull {
			// From the pages here, of which most needn't be fetched.
			if err := u.all(ctx); err != nil {
				return err
			}
			if _, err := u.full(ctx, backup.PurposeUpload, "", nil); err != nil {
				return err
			}
		} else if err := u.writer.Merge(ctx, g, backup.MergeOptions{}); err != nil {
			return err
		}
		u.learn()
		h.want(u.db.segment, false)
	}
	if time.Since(u.expired) < expireInterval {
		return nil
	}
	u.expired = time.Now()
	if _, _, err := u.writer.Expire(ctx, h.o.Cold.Retention); err != nil {
		return err
	}
	if _, err := u.writer.Collect(ctx); err != nil {
		return err
	}
	u.learn()
	_, err := u.db.retireKeys(ctx)
	return err
}

// full puts all pages as they are now.
func (u *uploader) full(ctx context.Context, why backup.Purpose, label string, progress Progress) (backup.Object, error) {
	sn, err := u.pin()
	if err != nil {
		return backup.Object{}, err
	}
	defer sn.Release()
	if err := u.keyed(ctx); err != nil {
		return backup.Object{}, err
	}
	o, err := u.putFull(ctx, sn, why, label, progress)
	if err != nil {
		return backup.Object{}, err
	}
	return o, u.commit(ctx, sn, func(m *backup.Manifest) { m.Add(o) })
}

// keyed makes sure that the keyring which goes to the bucket has the keys of everything that was committed until now: what
// is sealed by a key that is here alone would be lost with this folder.
func (u *uploader) keyed(ctx context.Context) error {
	db := u.db
	k := db.current().Keys()
	known := func() bool {
		have := db.cold.keyring()
		return k == nil || have != nil && have.Has(k.Current())
	}
	if known() {
		return nil
	}
	// The owner puts them beside the page file first.
	if err := db.Checkpoint(ctx); err != nil {
		return err
	}
	if !known() {
		return fmt.Errorf("the newest data key, %d, isn't kept beside the pages yet", k.Current())
	}
	return nil
}

// pin takes a snapshot of the committed head.
func (u *uploader) pin() (*pagestore.Snapshot, error) {
	sn := &pagestore.Snapshot{}
	return sn, u.db.current().Pin(sn, false)
}

// tick lets the uploaders look what is due.
func (h *Host) tick() {
	t := time.NewTicker(h.o.Cold.LogInterval)
	defer t.Stop()
	for n := 0; ; n++ {
		select {
		case <-h.closing:
			return
		case <-t.C:
		}
		for _, db := range h.all() {
			// Most databases rest most of the time.
			now := uint64(db.current().Heads().Committed.TXID)
			if n%restingTicks != 0 && db.ticked.Load() == now {
				continue
			}
			db.ticked.Store(now)
			if db.uploader != nil && db.uploadDue.CompareAndSwap(false, true) {
				h.system.Root.Send(db.uploader, &uploadTick{})
			}
		}
	}
}

// restingTicks is how seldom a database is looked after that nobody writes to.
const restingTicks = 10

// lastUpload brings what is committed to the bucket before the host closes, as far as ctx lasts.
func (h *Host) lastUpload(ctx context.Context) {
	if h.o.Cold.Bucket == nil || h.Writable() != nil || ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastUploadWait)
	defer cancel()
	for _, db := range h.all() {
		if err := db.Upload(ctx); err != nil {
			h.o.Logger.Warn("the last transactions aren't in the bucket", "database", db.Name(), "error", err)
			return
		}
	}
}

// lastUploadWait bounds how long a host that closes waits for the bucket.
const lastUploadWait = 20 * time.Second

// stopUploader ends an uploader, also in the middle of an upload if the host is closed.
func (h *Host) stopUploader(db *DB) {
	if db.uploader == nil {
		return
	}
	h.system.Root.Stop(db.uploader)
	<-db.uploaderGone
}
