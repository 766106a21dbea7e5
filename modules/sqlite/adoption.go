package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
	"github.com/ncruces/go-sqlite3"
)

// An empty folder goes on with the databases of a bucket: each in a new lineage, because the lost servers may have had
// transactions that the bucket hasn't. Nothing is copied: the page file begins as one whose pages are all in the bucket.

// Adopted is a database that was taken over from the bucket.
type Adopted struct {
	Segment SegmentID
	Name    string // "" if it wasn't known yet
	TXID    TXID   // the newest transaction that the bucket has; what came later on the lost servers is lost
	Time    time.Time
}

// AtLeastLog is a Log that can be told under which epoch to begin.
type AtLeastLog interface {
	Log
	// AtLeast lets the first leadership have an epoch above a given one. It is called before Run or Lead.
	AtLeast(epoch uint64) error
}

// Adopted lists what this opening of the folder took over from the bucket.
func (h *Host) Adopted() []Adopted {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.adopted)
}

// adoptSystem takes over the system database if the folder is new and the bucket has one. The others follow when it names
// them.
func (h *Host) adoptSystem(ctx context.Context, r *recovery) error {
	o := &h.o.Cold
	begun, err := h.adoptionBegun()
	switch {
	case err != nil:
		return err
	case begun && o.Bucket == nil:
		return fmt.Errorf("taking over databases from a bucket was interrupted: %w", ErrNoBucket)
	case begun && r.segments[systemSegment].has():
		h.adopting = true // the others may be missing
		return nil
	case !begun && (o.Bucket == nil || !o.Adopt || len(r.segments) > 0 || h.log.Committed() > 0):
		return nil
	}
	root, err := backup.LoadRoot(ctx, o.Bucket)
	if errors.Is(err, backup.ErrNoBackup) && !begun {
		return nil
	}
	if err == nil {
		err = h.beginAdoption()
	}
	if err != nil {
		return err
	}
	h.adopting = true
	f, err := h.adopt(ctx, systemSegment, pagefile.Identity{Database: root.System, Lineage: root.Lineage}, root.Epoch)
	if err != nil {
		return fmt.Errorf("taking over the system database from %s: %w", o.Bucket, err)
	}
	r.segments[systemSegment] = f
	r.store(f)
	return nil
}

// adoptingName is a file in the data folder for as long as a database may be missing that the bucket has: whoever finds it
// goes on taking over, so that a crash in between doesn't leave databases that are empty.
const adoptingName = "adopting"

func (h *Host) adoptionBegun() (bool, error) {
	names, err := h.o.FS.ReadDir(h.o.Dir)
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", h.o.Dir, err)
	}
	return slices.Contains(names, adoptingName), nil
}

func (h *Host) beginAdoption() error {
	name := filepath.Join(h.o.Dir, adoptingName)
	f, err := h.o.FS.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err == nil {
		err = h.o.FS.SyncDir(h.o.Dir)
	}
	if err != nil {
		return fmt.Errorf("making %s: %w", name, err)
	}
	return nil
}

// endAdoption is called when all databases that the system database names have been looked for. Leaderships get epochs
// above those that any of them has seen; epoch is the one there is, of a log that isn't replicated.
func (h *Host) endAdoption(ctx context.Context, epoch uint64) error {
	if !h.adopting {
		return nil
	}
	h.adopting = false // what the registry names from now on is new
	if l, ok := h.log.(AtLeastLog); ok {
		if err := l.AtLeast(h.adoptedEpoch); err != nil {
			return err
		}
	} else if h.replicated == nil && h.adoptedEpoch > epoch {
		if _, err := h.log.Lead(ctx, h.adoptedEpoch); err != nil {
			return err
		}
	}
	if h.notAdopted {
		return nil
	}
	name := filepath.Join(h.o.Dir, adoptingName)
	if err := errors.Join(h.o.FS.Remove(name), h.o.FS.SyncDir(h.o.Dir)); err != nil {
		return fmt.Errorf("removing %s: %w", name, err)
	}
	return nil
}

// adopt makes the page file of a database of what the bucket has.
func (h *Host) adopt(ctx context.Context, segment SegmentID, id pagefile.Identity, epoch uint64) (_ *found, err error) {
	space := h.spaceOf(id, nil)
	m, _, err := space.Load(ctx)
	for err == nil && m.Successor != 0 {
		id.Lineage = m.Successor // an earlier attempt, or another cluster that has come to its end too
		space = h.spaceOf(id, nil)
		m, _, err = space.Load(ctx)
	}
	if err != nil {
		return nil, err
	}
	if len(m.Objects) == 0 && len(m.Logs) == 0 {
		return nil, fmt.Errorf("%w: there is a manifest, and nothing that it names", backup.ErrNoBackup)
	}
	h.adoptedEpoch = max(h.adoptedEpoch, epoch+1, m.Epoch+1)
	id.Lineage = newIdentity().Lineage
	if m, err = space.Adopt(ctx, id.Lineage, h.adoptedEpoch); err != nil {
		return nil, err
	}
	child := h.spaceOf(id, nil)
	keys, err := child.Keyring(ctx, m.Keyring)
	if err != nil {
		return nil, err
	}
	v, err := backup.Restore(ctx, child, backup.Target{Latest: true}, backup.RestoreOptions{Manifest: m, TempDir: h.o.TempDir})
	if err != nil {
		return nil, err
	}
	defer v.Close()
	f := &found{segment: segment, id: id, keys: keys}
	h.coldOf(segment).keyed(keys)
	if f.file, err = h.adoptPagesOf(ctx, f, child, v); err != nil {
		return nil, err
	}
	st := v.State()
	h.mu.Lock()
	h.adopted = append(h.adopted, Adopted{segment, m.Name, st.TXID, time.UnixMicro(st.Time)})
	h.mu.Unlock()
	h.o.Logger.Warn("a database was taken over from the bucket; what the lost servers had committed after this transaction is lost",
		"database", m.Name, "txid", uint64(st.TXID), "committed", time.UnixMicro(st.Time).UTC(), "pages", st.Pages, "lineage", fmt.Sprintf("%016x", id.Lineage))
	return f, nil
}

// adoptPagesOf writes a page file that has the pages of v which the chain of objects doesn't.
func (h *Host) adoptPagesOf(ctx context.Context, f *found, space *backup.Space, v *backup.Restored) (_ *pagefile.File, err error) {
	m, plan, st := v.Manifest(), v.Plan(), v.State()
	if f.keys != nil {
		if err := h.saveKeys(h.segmentDir(f.segment), f.id, f.keys); err != nil {
			return nil, err
		}
	}
	base := plan.Chain[len(plan.Chain)-1].State
	if err := h.keepManifest(ctx, f.segment, space, m); err != nil {
		return nil, err
	}
	if err := space.Pin(ctx, h.o.Cold.Node, m.Sequence, m); err != nil {
		return nil, err
	}
	return h.writePages(f.segment, f.id, st, 0, f.keys, func(c *pagefile.Checkpoint) error {
		if base.Size == st.Size {
			c.SetBucket(pagefile.Bucket{Sequence: m.Sequence, TXID: base.TXID})
			c.Adopt(base.Pages)
		}
		buf := make([]byte, st.Size)
		for no := range v.Above(base.Size != st.Size) {
			data, sum, err := v.Page(no, buf)
			if err == nil {
				err = c.Put(no, data, sum, false)
			}
			if err != nil {
				return fmt.Errorf("page %d: %w", no, err)
			}
		}
		return nil
	})
}

// inherits tells whether a page file's lineage comes from the one that the registry names: an adoption that wasn't noted in
// the registry yet.
func (h *Host) inherits(f *found, registered pagefile.Identity) bool {
	if f.file == nil || f.id.Database != registered.Database {
		return false
	}
	t := f.file.Newest()
	b := t.Bucket()
	t.Release()
	if b.Sequence == 0 {
		return false
	}
	text, err := readFile(h.o.FS, h.manifestFile(f.segment, b.Sequence), maxLocalCopy)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), providerWait)
	defer cancel()
	m, err := h.spaceOf(f.id, func() *crypt.Keyring { return f.keys }).Decode(ctx, text)
	return err == nil && m.Parent != nil
}

// noteLineages brings the lineages of adopted databases into the registry, and gives keys to those that begin anew because
// they were never written to.
func (h *Host) noteLineages(ctx context.Context) error {
	for _, db := range h.all() {
		if len(h.Adopted()) > 0 && h.o.Keys != nil && db.current().Heads().Executed.TXID == 0 && db.Err() == nil {
			if err := db.protect(ctx); err != nil {
				return err
			}
		}
	}
	todo := map[SegmentID]uint64{}
	var rows []registryRow
	if err := h.inspect(ctx, func(c *sqlite3.Conn) (err error) {
		rows, err = readRegistry(c)
		return err
	}); err != nil {
		return err
	}
	for _, row := range rows {
		if db := h.bySegment(row.segment); db != nil && db.Lineage() != row.identity.Lineage {
			todo[row.segment] = db.Lineage()
		}
	}
	if len(todo) == 0 {
		return nil
	}
	return h.transact(ctx, func(c *sqlite3.Conn) error {
		for seg, lineage := range todo {
			if err := query(c, `UPDATE databases SET lineage = ? WHERE segment = ?`, nil, int64(lineage), int64(seg)); err != nil {
				return err
			}
		}
		return nil
	})
}
