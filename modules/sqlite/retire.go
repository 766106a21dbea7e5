package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/record"
)

// An old data key goes when nothing is sealed by it any more: no page here, no record that is kept, no object that the
// bucket's manifest names. The leader finds out and commits a keyring without it; other servers keep the key beside their
// page file until they are as far.

// retireKeys drops the data keys that aren't needed any more. It tells what still needs one, "" if none is left.
func (db *DB) retireKeys(ctx context.Context) (need string, err error) {
	k := db.current().Keys()
	if k == nil || len(k.Keys()) < 2 || db.host.Writable() != nil {
		return "", nil
	}
	if db.RekeyStatus().Running {
		return "pages on this disk", nil
	}
	if old, err := db.oldRecord(ctx, k); err != nil {
		return "", err
	} else if old {
		return "records in this server's log", nil
	}
	if db.cold != nil {
		if need, err := db.oldObject(ctx, k); need != "" || err != nil {
			return need, err
		}
	}
	err = db.changeKeys(ctx, func(old *crypt.Keyring) (*crypt.Keyring, error) {
		if old != k {
			return nil, errKeysAsTheyWere // they have changed meanwhile
		}
		for _, key := range k.Keys() {
			if key.ID != k.Current() {
				if old, err = old.Without(key.ID); err != nil {
					return nil, err
				}
			}
		}
		return old, nil
	})
	if err != nil {
		return "", fmt.Errorf("dropping the old data keys of database %q: %w", db.Name(), err)
	}
	db.host.o.Logger.Info("old data keys are dropped, nothing is sealed by them any more", "database", db.Name(), "key", k.Current())
	return "", nil
}

// oldRecord tells whether the oldest record that this server keeps is sealed otherwise than new ones are: keys only change
// forwards.
func (db *DB) oldRecord(ctx context.Context, k *crypt.Keyring) (old bool, err error) {
	log, ok := db.host.log.(SegmentLog)
	if !ok {
		return true, nil
	}
	err = log.ReplaySegment(ctx, db.segment, 0, func(c Committed) error {
		p, err := record.PlaceOf(c.Record)
		if err != nil {
			return err
		}
		old = p.Key != k.Current() && !record.Keyed(c.Record)
		if record.Keyed(c.Record) {
			return nil // the next one tells
		}
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return old, err
}

// oldObject tells what in the bucket is sealed otherwise than new objects are.
func (db *DB) oldObject(ctx context.Context, k *crypt.Keyring) (string, error) {
	m := db.cold.known()
	if m == nil {
		return "what the bucket has, which isn't known", nil
	}
	if len(stale(m, k)) > 0 {
		return "page objects in the bucket, which the retention keeps", nil
	}
	first := backup.LogRef{}
	for _, l := range m.Logs {
		if first.Last == 0 || l.First < first.First {
			first = l
		}
	}
	if first.Last == 0 {
		return "", nil
	}
	for r, err := range backup.ReadLog(ctx, db.cold.in(db.ident()).Objects(), first) {
		if err != nil {
			return "", err
		}
		if record.Keyed(r.Data) {
			continue
		}
		if p, err := record.PlaceOf(r.Data); err != nil || p.Key != k.Current() {
			return "log objects in the bucket, which the retention keeps", err
		}
		break
	}
	return "", nil
}

// drops tells whether a keyring lacks keys that another one has.
func drops(next, kept *crypt.Keyring) bool {
	if kept == nil {
		return false
	}
	for _, key := range kept.Keys() {
		if !next.Has(key.ID) {
			return true
		}
	}
	return false
}

// keepLess puts a keyring that lacks keys beside the page file, when nothing here needs those any more. It is called by the
// owner after a checkpoint.
func (db *DB) keepLess(ctx context.Context) error {
	k := db.current().Keys()
	if k == nil || k == db.kept || !drops(k, db.kept) || db.file == nil || db.RekeyStatus().Running {
		return nil
	}
	if db.cold != nil {
		// The manifest that the page file stands on has to be readable without them.
		if err := db.rebase(ctx); err != nil {
			return err
		}
		if ok, err := db.standsOpen(ctx, k); err != nil || !ok {
			return err
		}
	}
	// Neither header may need a record from before.
	if err := db.file.Again(); err != nil {
		return err
	}
	if err := db.host.saveKeys(db.dir, db.ident(), k); err != nil {
		return err
	}
	db.kept = k
	db.cold.keyed(k)
	db.file.Rekey(blocksOf(k, db.Lineage()))
	return nil
}

// standsOpen tells whether the manifest that the page file stands on can be opened by a keyring.
func (db *DB) standsOpen(ctx context.Context, k *crypt.Keyring) (bool, error) {
	b := db.file.OldestBucket()
	if b.Sequence == 0 {
		return true, nil
	}
	text, err := readFile(db.host.o.FS, db.host.manifestFile(db.segment, b.Sequence), maxLocalCopy)
	if err != nil {
		return false, err
	}
	_, err = db.host.spaceOf(db.ident(), func() *crypt.Keyring { return k }).Decode(ctx, text)
	if errors.Is(err, crypt.ErrNoKey) {
		return false, nil
	}
	return err == nil, err
}

// ForgetBackup deletes what the bucket has of a database that there isn't any more, its wrapped keys first. There is no way
// back.
func (h *Host) ForgetBackup(ctx context.Context, of BackupOf) error {
	err := h.forgetBackup(ctx, of)
	if err != nil {
		return fmt.Errorf("deleting a backup: %w", err)
	}
	return nil
}

func (h *Host) forgetBackup(ctx context.Context, of BackupOf) error {
	if err := h.Writable(); err != nil {
		return err
	}
	s, err := h.backupSpace(ctx, of)
	if err != nil {
		return err
	}
	for _, db := range h.all() {
		if db.ID() == s.Database() {
			return fmt.Errorf("%w: %q: drop it first", ErrExists, db.Name())
		}
	}
	return s.Destroy(ctx)
}
