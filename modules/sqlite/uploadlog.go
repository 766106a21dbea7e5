package sqlite

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagestore"
	"github.com/bop-platform/bop/modules/sqlite/internal/record"
)

// putLogs puts the records of the transactions that the bucket's log lacks, up to the snapshot's. The result is empty if
// there are none, or if they don't follow any more: then pages have to be put first.
func (u *uploader) putLogs(ctx context.Context, m *backup.Manifest, sn *pagestore.Snapshot) (backup.LogRef, error) {
	db := u.db
	log, ok := db.host.log.(SegmentLog)
	if !ok {
		return backup.LogRef{}, nil
	}
	at := place{}
	for i := range m.Logs {
		if l := &m.Logs[i]; l.Last > at.txid {
			at = place{txid: l.Last, epoch: l.Epoch, position: Position(l.Position)}
			if l.Lineage != db.Lineage() {
				at.position = 0 // of another cluster's log
			}
		}
	}
	if pages, _ := reached(m); pages > at.txid {
		// The log begins, or begins again, behind the pages.
		chain, _ := m.Chain(pages)
		st := chain[len(chain)-1].State
		at = place{txid: st.TXID, epoch: st.Epoch}
		for i := range m.Objects {
			if o := &m.Objects[i]; o.Max == pages && o.Lineage == db.Lineage() {
				at.position = Position(o.Position)
			}
		}
	}
	if at.txid >= sn.State.TXID {
		return backup.LogRef{}, nil
	}
	seq := db.follow(ctx, log, at, sn.State.TXID)
	next, stop := iter.Pull2(seq)
	defer stop()
	first, err, ok := next()
	if !ok {
		return backup.LogRef{}, nil // the log here doesn't reach back so far
	}
	if err != nil {
		return backup.LogRef{}, err
	}
	ref, err := u.writer.PutLog(ctx, func(yield func(backup.LogRecord, error) bool) {
		for r, err := first, error(nil); ; {
			if !yield(r, err) || err != nil {
				return
			}
			if r, err, ok = next(); !ok {
				return
			}
		}
	})
	if err == nil {
		db.host.metrics.cold.uploaded.Add(ctx, ref.Size)
	}
	return ref, err
}

// place is how far a reader of the log has come.
type place struct {
	txid     page.TXID
	epoch    uint64
	position Position
	part     uint32 // of the transaction behind txid, as far as it has come
	partOf   uint64 // its epoch
}

// logObjectBytes ends a log object; the next one goes on.
const logObjectBytes = 64 << 20

var errEnough = errors.New("that is all")

// follow reads from the log what was applied after a transaction, up to another: it passes over what everyone passes over.
// It yields nothing if the log doesn't reach back.
func (db *DB) follow(ctx context.Context, log SegmentLog, at place, to page.TXID) iter.Seq2[backup.LogRecord, error] {
	return func(yield func(backup.LogRecord, error) bool) {
		keys, bytes := db.current().Keys(), 0
		err := log.ReplaySegment(ctx, db.segment, at.position+1, func(c Committed) error {
			p, err := record.PlaceOf(c.Record)
			if err != nil {
				return fmt.Errorf("log position %d: %w", c.Position, err)
			}
			id := db.ident()
			if p.Database != id.Database || p.Lineage != id.Lineage || p.TXID != at.txid+1 || p.Epoch < at.epoch || c.Epoch != 0 && p.Epoch != c.Epoch {
				if p.TXID > at.txid+1 && p.Database == id.Database && p.Lineage == id.Lineage && at.part == 0 && p.Epoch == c.Epoch {
					return errEnough // there is a gap
				}
				at.part = 0
				return nil
			}
			if p.Part != 1 && (p.Part != at.part+1 || p.Epoch != at.partOf) {
				at.part = 0
				return nil
			}
			r, err := record.DecodeSealed(c.Record, keys)
			if err != nil {
				return fmt.Errorf("log position %d: %w", c.Position, err)
			}
			at.part, at.partOf = p.Part, p.Epoch
			if p.Last {
				at = place{txid: p.TXID, epoch: p.Epoch, position: c.Position}
			}
			bytes += len(c.Record)
			if !yield(backup.LogRecord{TXID: p.TXID, Position: uint64(c.Position), Epoch: p.Epoch, Time: r.Time, Last: p.Last, Data: slices.Clone(c.Record)}, nil) {
				return errEnough
			}
			if at.txid >= to || p.Last && bytes > logObjectBytes {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(backup.LogRecord{}, err)
		}
	}
}
