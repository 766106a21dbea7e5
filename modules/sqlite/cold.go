package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
	"github.com/bop-platform/bop/modules/sqlite/internal/pageobj"
)

// Cold says what goes to a bucket. Every database of the host has its pages and its log there; docs/formats/bucket.md.
type Cold struct {
	// Bucket is the same for all servers of a cluster. nil: there is none.
	Bucket objstore.Bucket
	// Node names this server among those that read by the bucket: letters, digits, '.', '_' and '-'. Default: "node".
	Node string
	// Adopt lets an empty folder go on with the databases that the bucket has: after the loss of all servers, or on a new
	// disk. Only the un-uploaded tail is lost.
	Adopt bool

	// LocalBytes bounds the page files on this disk: pages that the bucket has too leave it. 0: no bound, nothing leaves.
	LocalBytes int64
	// LogBytes bounds the log on this disk while the bucket doesn't take it; writers are refused beyond. Default: 4 GiB.
	LogBytes int64

	// LogInterval is how long a committed transaction stays on the servers alone. Default: 1 s.
	LogInterval time.Duration
	// PageInterval is how long changed pages do; PageBytes of log call for them earlier. Defaults: 1 minute, 32 MiB.
	PageInterval time.Duration
	PageBytes    int64

	// Retention says what is kept in the bucket; Schedule which snapshots are taken.
	Retention backup.Retention
	Schedule  Schedule
	// Policy says when objects are merged, Grace how long one stays that isn't needed any more, PinTTL how long a server may
	// be away without losing its place. Defaults: those of package backup.
	Policy        backup.Policy
	Grace, PinTTL time.Duration
}

func (c *Cold) setDefaults() {
	if c.Node == "" {
		c.Node = "node"
	}
	setDefault(&c.LogBytes, 4<<30)
	setDefault(&c.LogInterval, time.Second)
	setDefault(&c.PageInterval, time.Minute)
	setDefault(&c.PageBytes, 32<<20)
}

// ErrBacklog: the bucket hasn't taken the log for so long that there is no room for more of it.
var ErrBacklog = errors.New("the bucket doesn't take what is written")

// ErrBucketAhead: the bucket has transactions of the database that this folder doesn't have. Nothing is brought there.
var ErrBucketAhead = errors.New("the bucket is ahead of this folder")

const (
	manifestPrefix = "manifest-"
	maxLocalCopy   = 64 << 20
)

// cold is what a database has in the bucket, as this server knows it.
type cold struct {
	h       *Host
	segment SegmentID
	file    atomic.Pointer[pagefile.File] // that gets pages which come along
	keys    atomic.Pointer[crypt.Keyring] // by what the database is sealed; views ask while mu is held and waits for them

	mu       sync.Mutex
	space    *backup.Space
	id       pagefile.Identity // of space
	newest   *backup.Manifest  // the newest that is known
	views    map[viewOf]*pageobj.View
	stands   []string // keys of the chain that the page file stands on, as far as it was put there since the opening
	uploaded Position // up to which the bucket has the log
	seen     time.Time
}

// viewOf names a view: a file that was replaced is still read by those who began before.
type viewOf struct {
	id pagefile.Identity
	b  pagefile.Bucket
}

// coldOf returns what a segment has in the bucket, nil without one.
func (h *Host) coldOf(segment SegmentID) *cold {
	if h.o.Cold.Bucket == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.colds[segment]
	if c == nil {
		c = &cold{h: h, segment: segment, views: map[viewOf]*pageobj.View{}}
		h.colds[segment] = c
	}
	return c
}

// spaceOf opens a database's part of the bucket.
func (h *Host) spaceOf(id pagefile.Identity, keys func() *crypt.Keyring) *backup.Space {
	o := &h.o.Cold
	return backup.Open(backup.Options{
		Bucket: o.Bucket, Database: id.Database, Lineage: id.Lineage, Keys: keys, Provider: h.o.Keys,
		TempDir: h.o.TempDir, Logger: h.o.Logger, Grace: o.Grace, PinTTL: o.PinTTL,
	})
}

// in returns the space of an identity.
func (c *cold) in(id pagefile.Identity) *backup.Space {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.space == nil || c.id != id {
		c.id, c.newest, c.uploaded, c.stands = id, nil, 0, nil
		c.space = c.h.spaceOf(id, c.keyring)
	}
	return c.space
}

func (c *cold) keyring() *crypt.Keyring { return c.keys.Load() }

// keyed tells by what the database is sealed now.
func (c *cold) keyed(k *crypt.Keyring) {
	if c == nil || k == nil {
		return
	}
	c.keys.Store(k)
}

func (c *cold) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for of, v := range c.views {
		v.Close()
		delete(c.views, of)
	}
}

func (h *Host) manifestFile(segment SegmentID, sequence uint64) string {
	return filepath.Join(h.segmentDir(segment), manifestPrefix+strconv.FormatUint(sequence, 10))
}

// view serves the pages that a tree has in the bucket, by the copy of the manifest that the tree names.
func (c *cold) view(id pagefile.Identity, b pagefile.Bucket) (pagefile.View, error) {
	of := viewOf{id, b}
	c.mu.Lock()
	v := c.views[of]
	c.mu.Unlock()
	if v != nil {
		return v, nil
	}
	space := c.h.spaceOf(id, c.keyring) // of the file, which may be one that was replaced and is still read
	name := c.h.manifestFile(c.segment, b.Sequence)
	text, err := readFile(c.h.o.FS, name, maxLocalCopy)
	if err != nil {
		return nil, fmt.Errorf("reading which objects of the bucket have the pages: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), providerWait)
	defer cancel()
	m, err := space.Decode(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c.open(space, m, of)
}

// open makes the view of a manifest.
func (c *cold) open(space *backup.Space, m *backup.Manifest, of viewOf) (*pageobj.View, error) {
	chain, err := m.Chain(of.b.TXID)
	if err != nil {
		return nil, err
	}
	v, err := pageobj.Open(context.Background(), pageobj.ViewOptions{
		Bucket: space.Objects(), Keys: c.keyring, Refs: chain, Metrics: &c.h.metrics.cold.views,
		Extra: func(no uint32, data []byte, sum uint64) {
			if f := c.file.Load(); f != nil {
				f.Arrived(no, data, sum)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.views[of]; other != nil {
		v.Close()
		return other, nil
	}
	c.views[of] = v
	return v, nil
}

// learn takes note of a manifest that the bucket has.
func (c *cold) learn(m *backup.Manifest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.newest == nil || m.Sequence > c.newest.Sequence {
		c.newest = m
	}
	c.seen = time.Now()
	var last TXID
	for i := range m.Logs {
		if l := &m.Logs[i]; l.Lineage == c.id.Lineage {
			c.uploaded, last = max(c.uploaded, Position(l.Position)), max(last, l.Last)
		}
	}
	// Where the log has a gap it goes on behind the pages.
	for i := range m.Objects {
		if o := &m.Objects[i]; o.Lineage == c.id.Lineage && o.Max > last {
			c.uploaded = max(c.uploaded, Position(o.Position))
		}
	}
}

// known is the newest manifest that is known, nil if none is.
func (c *cold) known() *backup.Manifest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest
}

// covered is up to which position the log is needed for neither page file nor bucket.
func (c *cold) covered(file Position) Position {
	if c == nil {
		return file
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return min(file, c.uploaded)
}

// release tells the log what isn't needed any more. It is called by the owner.
func (db *DB) release() {
	if db.file == nil {
		return
	}
	upTo := Position(db.file.Covered())
	if db.current().Heads().Committed.Pages > 0 { // as long as it is empty nothing of it is brought to the bucket
		upTo = db.cold.covered(upTo)
	}
	db.host.log.Checkpointed(db.segment, upTo)
}

// keepManifest writes a manifest beside the page file, where a tree that names it finds it.
func (h *Host) keepManifest(ctx context.Context, segment SegmentID, space *backup.Space, m *backup.Manifest) error {
	b, err := space.Encode(ctx, m)
	if err != nil {
		return err
	}
	dir := h.segmentDir(segment)
	if err := h.o.FS.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	return writeFile(h.o.FS, dir, manifestPrefix+"new", filepath.Base(h.manifestFile(segment, m.Sequence)), b)
}

// forgetManifests removes the copies that no tree names any more. It is called by the owner.
func (db *DB) forgetManifests() {
	h := db.host
	oldest := db.file.OldestBucket().Sequence
	names, _ := h.o.FS.ReadDir(db.dir)
	for _, name := range names {
		text, ok := strings.CutPrefix(name, manifestPrefix)
		if n, err := strconv.ParseUint(text, 10, 64); ok && err == nil && n < oldest {
			_ = h.o.FS.Remove(filepath.Join(db.dir, name))
		}
	}
	c := db.cold
	c.mu.Lock()
	defer c.mu.Unlock()
	for of, v := range c.views {
		if of.id == c.id && of.b.Sequence < oldest {
			v.Close()
			delete(c.views, of)
		}
	}
}

// rebase lets the page file stand on the newest manifest that is known, so that more of its pages may leave. It is called by
// the owner.
func (db *DB) rebase(ctx context.Context) error {
	c := db.cold
	m := c.known()
	if m == nil || db.file == nil {
		return nil
	}
	tree := db.file.Newest()
	have, at := tree.Bucket(), tree.State
	tree.Release()
	if have.Sequence == m.Sequence {
		return nil
	}
	chain, err := m.Chain(at.TXID)
	if errors.Is(err, backup.ErrNotRestorable) {
		return nil // the bucket is ahead of this server, or has no pages yet
	}
	if err != nil {
		return err
	}
	last := chain[len(chain)-1]
	b := pagefile.Bucket{Sequence: m.Sequence, TXID: last.Max}
	if c.standsOn(chain) || b.TXID < have.TXID || last.State.Size != at.Size {
		return nil
	}
	space := c.in(db.ident())
	if err := space.Pin(ctx, db.host.o.Cold.Node, cmpSequence(db.file.OldestBucket().Sequence, m.Sequence), m); err != nil {
		return err
	}
	db.pinned = time.Now()
	if err := db.host.keepManifest(ctx, db.segment, space, m); err != nil {
		return err
	}
	if err := db.current().Upkeep(ctx, db.file, func(cp *pagefile.Checkpoint) (bool, error) {
		cp.SetBucket(b)
		return true, nil
	}); err != nil {
		return err
	}
	c.stand(chain)
	db.forgetManifests()
	return nil
}

// cmpSequence is the older of two manifests, of which the first may be none.
func cmpSequence(oldest, newest uint64) uint64 {
	if oldest == 0 {
		return newest
	}
	return min(oldest, newest)
}

// standsOn tells whether the page file stands on those objects already.
func (c *cold) standsOn(chain []pageobj.Ref) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.EqualFunc(chain, c.stands, func(r pageobj.Ref, key string) bool { return r.Key == key })
}

func (c *cold) stand(chain []pageobj.Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stands = c.stands[:0]
	for i := range chain {
		c.stands = append(c.stands, chain[i].Key)
	}
}

// settle gives slots to pages that came from the bucket, and takes them from others, so that the page files stay within
// their bound. It is called by the owner.
func (db *DB) settle(ctx context.Context) (err error) {
	h := db.host
	if db.file == nil || db.cold == nil {
		return nil
	}
	// The bucket may be slow or away, and checkpoints must not wait for it.
	if time.Now().Before(db.settleAfter) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	defer func() {
		if err != nil {
			db.settleAfter = time.Now().Add(settlePause)
		}
	}()
	if err := db.renewPin(ctx); err != nil {
		return err
	}
	bound := h.o.Cold.LocalBytes
	if bound > 0 {
		if err := db.file.Survey(); err != nil {
			return err
		}
		if over := h.localUsed() - bound/10*9; over > 0 {
			if err := db.evict(ctx, over); err != nil {
				return err
			}
		}
	}
	if err := db.lower(ctx); err != nil {
		return err
	}
	if db.file.Guests() == 0 {
		return nil
	}
	room := int64(1) << 60
	if bound > 0 {
		room = max(0, bound/10*9-h.localUsed())
	}
	return db.current().Upkeep(ctx, db.file, func(cp *pagefile.Checkpoint) (bool, error) {
		n, err := cp.Settle(room)
		return n > 0, err
	})
}

// LocalBytes is how much of the disk the database's pages take, 0 as long as that isn't known.
func (db *DB) LocalBytes() int64 {
	if db.cold == nil {
		return 0
	}
	if f := db.cold.file.Load(); f != nil {
		return f.Used()
	}
	return 0
}

// Settle lets pages move between disk and bucket as Cold.LocalBytes says, which happens by itself after checkpoints.
func (db *DB) Settle(ctx context.Context) error {
	done := make(chan error, 1)
	db.host.system.Root.Send(db.owner, &settleNow{ctx, done})
	select {
	case err := <-done:
		return err
	case <-db.gone:
		return ErrClosed
	}
}

// lower moves pages to the front of a file that is longer than the bound, so that it can be cut.
func (db *DB) lower(ctx context.Context) error {
	bound := db.host.o.Cold.LocalBytes
	size, err := db.file.Bytes()
	if bound <= 0 || err != nil || size <= bound || db.file.Used() > bound {
		return err
	}
	some := false
	if err := db.current().Upkeep(ctx, db.file, func(cp *pagefile.Checkpoint) (bool, error) {
		n, err := cp.Lower(ctx, db.file.Slots(bound), evictStep)
		some = n > 0
		return some, err
	}); err != nil || !some {
		return err
	}
	return db.file.Again()
}

// How long the owner waits for the bucket, and leaves it alone afterwards.
const (
	settleWait  = 10 * time.Second
	settlePause = 15 * time.Second
)

// renewPin keeps the bucket from deleting what the page file stands on.
func (db *DB) renewPin(ctx context.Context) error {
	ttl := db.host.o.Cold.PinTTL
	if ttl <= 0 {
		ttl = 24 * time.Hour
	}
	b := db.file.OldestBucket()
	if b.Sequence == 0 || time.Since(db.pinned) < ttl/4 {
		return nil
	}
	if err := db.cold.in(db.ident()).Pin(ctx, db.host.o.Cold.Node, b.Sequence, nil); err != nil {
		return err
	}
	db.pinned = time.Now()
	return nil
}

// evict lets pages leave until so many bytes are free, or none can leave.
func (db *DB) evict(ctx context.Context, bytes int64) error {
	start := time.Now()
	if err := db.rebase(ctx); err != nil {
		return fmt.Errorf("letting pages leave: %w", err)
	}
	t := db.file.Newest()
	in := t.Bucket()
	t.Release()
	if in.Sequence == 0 || db.cold.known() == nil {
		return nil // without knowing what the bucket has by now, it can't be told what it will have
	}
	stay := func(no uint32) bool { return db.current().ChangedSince(no, in.TXID) }
	var freed int64
	for sweep := 0; sweep < 4 && freed < bytes; {
		err := db.current().Upkeep(ctx, db.file, func(cp *pagefile.Checkpoint) (bool, error) {
			n, end, err := cp.Evict(ctx, min(bytes-freed, evictStep), sweep >= 2, stay)
			freed += n
			if end {
				sweep++
			}
			return n > 0, err
		})
		if err != nil {
			return fmt.Errorf("letting pages leave: %w", err)
		}
	}
	if freed == 0 {
		return nil
	}
	// Both headers must do without the slots before they can be used again.
	if err := db.file.Again(); err != nil {
		return fmt.Errorf("letting pages leave: %w", err)
	}
	db.host.metrics.cold.evicted.Add(ctx, freed)
	db.host.o.Logger.Debug("pages have left the disk", "database", db.Name(), "bytes", freed, "took", time.Since(start))
	return nil
}

// evictStep is how much leaves by one checkpoint.
const evictStep = 16 << 20

// localUsed is how much the page files of all databases hold.
func (h *Host) localUsed() (n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.colds {
		if f := c.file.Load(); f != nil {
			n += f.Used()
		}
	}
	return n
}

// backlog is why writers are refused: nil as long as the bucket takes the log, or there is room for it here.
func (h *Host) backlog() error {
	if h.o.Cold.Bucket == nil {
		return nil
	}
	l, ok := h.log.(HeadLog)
	if !ok {
		return nil
	}
	if _, bytes := l.Head(); bytes > h.o.Cold.LogBytes {
		if err := h.uploadFailure.Load(); err != nil {
			return fmt.Errorf("%w, and the log has reached its bound of %d bytes: %w", ErrBacklog, h.o.Cold.LogBytes, *err)
		}
	}
	return nil
}

// poll looks for a newer manifest, on servers that don't write it.
func (db *DB) poll(ctx context.Context) error {
	c := db.cold
	if c == nil || db.current().Heads().Committed.Pages == 0 {
		return nil
	}
	m, _, err := c.in(db.ident()).Load(ctx)
	if errors.Is(err, backup.ErrNoBackup) {
		return nil
	}
	if err != nil {
		return err
	}
	c.learn(m)
	return nil
}
