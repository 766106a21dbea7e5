package coldtest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
)

// childTask is the environment variable that makes a child of this program: the task as JSON.
const childTask = "COLDTEST_CHILD"

// task is what a child is to do: to open a database, look whether it is as it should be, and do everything at once until
// it is killed.
type task struct {
	Dir, Bucket string
	Encrypted   bool
	Adopt       bool // the folder is new
	Missing     bool // there may be no database yet
	Acked       int  // rows of the ledger that must be there
	Tried       int  // rows that may be there
	Seed        uint64
}

// message is what a child says, a line of JSON each.
type message struct {
	Created  bool        `json:",omitempty"`
	Adopted  sqlite.TXID `json:",omitempty"` // what Host.Adopted says
	Head     sqlite.TXID `json:",omitempty"` // with Adopted: what it is
	Rows     int         `json:",omitempty"` // that were there at the opening
	Ready    bool        `json:",omitempty"`
	Tried    int         `json:",omitempty"`
	Acked    int         `json:",omitempty"`
	TXID     sqlite.TXID `json:",omitempty"` // of Acked
	State    string      `json:",omitempty"` // of TXID
	Uploaded sqlite.TXID `json:",omitempty"` // everything up to there is in the bucket
	Did      string      `json:",omitempty"`
}

var out = struct {
	sync.Mutex
	*json.Encoder
}{Encoder: json.NewEncoder(os.Stdout)}

func say(m message) {
	out.Lock()
	defer out.Unlock()
	if out.Encode(m) != nil {
		os.Exit(0) // nobody listens any more
	}
}

func child(text string) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	// Who started it may have been killed himself.
	go func() {
		bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(0)
	}()
	return t.run(context.Background())
}

// options make everything happen often.
func (t *task) options() (sqlite.Options, error) {
	b, err := objstore.OpenPlainDir(t.Bucket)
	if err != nil {
		return sqlite.Options{}, err
	}
	o := cold(t.Dir, b)
	o.CheckpointBytes = 64 << 10
	o.LogOptions.SegmentBytes = 256 << 10
	o.CheckpointInterval = 20 * time.Millisecond
	o.Cold.LocalBytes = 128 << 10
	o.Cold.LogInterval, o.Cold.PageInterval, o.Cold.PageBytes = 10*time.Millisecond, 30*time.Millisecond, 128<<10
	o.Cold.Policy = backup.Policy{Chain: 3, FullBytes: 256 << 10, LogObjects: 3}
	o.Cold.Retention = backup.Retention{Last: 2, Log: 2 * time.Second}
	o.Cold.Grace, o.Cold.PinTTL = 1500*time.Millisecond, time.Minute
	o.Cold.Adopt = t.Adopt
	o.Keys = testKeys
	return o, nil
}

func (t *task) run(ctx context.Context) error {
	o, err := t.options()
	if err != nil {
		return err
	}
	h, err := sqlite.Open(ctx, o)
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	db, err := h.DB("d")
	switch {
	case errors.Is(err, sqlite.ErrNoDatabase) && t.Missing:
		if db, err = t.create(ctx, h); err != nil {
			return fmt.Errorf("creating: %w", err)
		}
	case err != nil:
		return fmt.Errorf("opening: %w", err)
	}
	for _, a := range h.Adopted() {
		if a.Segment == db.Segment() {
			say(message{Adopted: a.TXID, Head: db.Heads().Committed})
		}
	}
	c, err := db.Conn(ctx, sqlite.ConnOptions{})
	if err != nil {
		return err
	}
	rows, err := t.check(ctx, db, c)
	if err != nil {
		return err
	}
	say(message{Ready: true, Rows: rows})
	return t.work(ctx, h, db, c, rows)
}

func (t *task) create(ctx context.Context, h *sqlite.Host) (*sqlite.DB, error) {
	return h.Create(ctx, "d", sqlite.CreateOptions{})
}

const tables = `BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS ledger (n INTEGER PRIMARY KEY, pad BLOB);
	CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, money INTEGER NOT NULL);
	CREATE TABLE IF NOT EXISTS big (id INTEGER PRIMARY KEY, b BLOB);
	INSERT OR IGNORE INTO account VALUES (1, 1000), (2, 0); COMMIT`

// check looks at a database that was opened after a kill.
func (t *task) check(ctx context.Context, db *sqlite.DB, c *sqlite.Conn) (rows int, err error) {
	if err := db.Verify(ctx); err != nil {
		return 0, err
	}
	if err := c.Raw().Exec(tables); err != nil {
		return 0, c.Explain(err)
	}
	var n, newest, sum int
	s, err := text(c.Raw(), `SELECT count(*), ifnull(max(n), 0), (SELECT sum(money) FROM account) FROM ledger`)
	if err != nil {
		return 0, c.Explain(err)
	}
	if _, err := fmt.Sscanf(s, "%d,%d,%d", &n, &newest, &sum); err != nil {
		return 0, err
	}
	if n != newest || n < t.Acked || n > t.Tried || sum != 1000 {
		return 0, fmt.Errorf("the ledger has %d rows up to %d, and the accounts %d together; %d were acknowledged, %d tried", n, newest, sum, t.Acked, t.Tried)
	}
	return n, nil
}

// work does everything at once.
func (t *task) work(ctx context.Context, h *sqlite.Host, db *sqlite.DB, c *sqlite.Conn, n int) error {
	failed := make(chan error, 8)
	loop := func(number uint64, step func(r *rand.Rand) (string, error)) {
		r := rand.New(rand.NewPCG(t.Seed, number))
		go func() {
			for {
				did, err := step(r)
				if err != nil {
					failed <- fmt.Errorf("%s: %w", did, err)
					return
				}
				say(message{Did: did})
			}
		}()
	}
	loop(1, func(r *rand.Rand) (string, error) { n++; return "transactions", t.write(ctx, db, c, r, n) })
	loop(2, func(r *rand.Rand) (string, error) { return t.toBucket(ctx, h, db, r) })
	loop(3, func(r *rand.Rand) (string, error) {
		pause(ctx, time.Duration(r.IntN(10))*time.Millisecond)
		return "evictions", db.Settle(ctx)
	})
	loop(4, func(r *rand.Rand) (string, error) { return t.restore(ctx, h, r) })
	loop(5, func(r *rand.Rand) (string, error) {
		pause(ctx, time.Duration(r.IntN(150))*time.Millisecond)
		// A keyring has 1024 data keys at most, and what the bucket keeps needs all of these.
		if r.IntN(4) == 0 || len(db.RekeyStatus().Keys) > 900 {
			return "wrapping keys", db.Rekey(ctx, sqlite.RekeyOptions{Wrap: true})
		}
		return "data keys", db.Rekey(ctx, sqlite.RekeyOptions{Data: true})
	})
	return <-failed
}

func (t *task) write(ctx context.Context, db *sqlite.DB, c *sqlite.Conn, r *rand.Rand, n int) error {
	say(message{Tried: n})
	amount := r.IntN(50)
	stmts := fmt.Sprintf(`BEGIN IMMEDIATE; INSERT INTO ledger VALUES (%d, randomblob(%d));
		UPDATE account SET money = money - %d WHERE id = 1; UPDATE account SET money = money + %d WHERE id = 2;
		INSERT OR REPLACE INTO big VALUES (%d, randomblob(%d));`, n, r.IntN(300), amount, amount, r.IntN(300), r.IntN(5000))
	switch r.IntN(12) {
	case 0:
		stmts += fmt.Sprintf(`DELETE FROM big WHERE id > %d;`, r.IntN(300))
	case 1:
		stmts += fmt.Sprintf(`UPDATE big SET b = randomblob(1000) WHERE id %% 7 = %d;`, r.IntN(7))
	}
	if err := c.Raw().Exec(stmts + `COMMIT`); err != nil {
		return c.Explain(err)
	}
	at := c.LastTXID()
	say(message{Acked: n, TXID: at})
	if r.IntN(200) == 0 {
		if err := c.Raw().Exec(`VACUUM`); err != nil {
			return c.Explain(err)
		}
	}
	return nil
}

// toBucket uploads, merges, takes snapshots and lets old ones go.
func (t *task) toBucket(ctx context.Context, h *sqlite.Host, db *sqlite.DB, r *rand.Rand) (string, error) {
	pause(ctx, time.Duration(r.IntN(30))*time.Millisecond)
	switch r.IntN(6) {
	case 0:
		kind := []backup.Purpose{backup.PurposeFull, backup.PurposeIncremental, backup.PurposeDifferential}[r.IntN(3)]
		_, err := db.Snapshot(ctx, sqlite.SnapshotOptions{Kind: kind})
		return "snapshots", err
	case 1:
		return "deletions", db.WithBackup(ctx, func(ctx context.Context, w *backup.Writer) error {
			if _, _, err := w.Expire(ctx, backup.Retention{Last: 2, Log: 2 * time.Second}); err != nil {
				return err
			}
			if r.IntN(3) == 0 {
				if _, err := w.Sweep(ctx); err != nil {
					return err
				}
			}
			_, err := w.Collect(ctx)
			return err
		})
	}
	at := db.Heads().Committed
	if err := h.System().Upload(ctx); err != nil {
		return "uploads", err
	}
	if err := db.Upload(ctx); err != nil {
		return "uploads", err
	}
	say(message{Uploaded: at})
	return "uploads", nil
}

// restore restores what there is to a file that nobody keeps, or into a database.
func (t *task) restore(ctx context.Context, h *sqlite.Host, r *rand.Rand) (string, error) {
	pause(ctx, time.Duration(r.IntN(100))*time.Millisecond)
	of := sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: "d"}, Target: backup.Target{Latest: true}}
	if r.IntN(3) > 0 {
		_, err := h.RestoreTo(ctx, sha256.New(), of)
		if errors.Is(err, backup.ErrNotRestorable) || errors.Is(err, backup.ErrNoBackup) {
			err = nil // there is nothing yet
		}
		return "restores", err
	}
	if _, err := h.DB("copy"); err == nil {
		return "drops", h.Drop(ctx, "copy")
	}
	_, _, err := h.Restore(ctx, "copy", of)
	if errors.Is(err, backup.ErrNotRestorable) || errors.Is(err, backup.ErrNoBackup) {
		err = nil
	}
	if err != nil {
		err = errors.Join(err, explain(ctx, h))
	}
	return "restores into a database", err
}

// explain tells what else is wrong.
func explain(ctx context.Context, h *sqlite.Host) error {
	db, err := h.DB("d")
	if err != nil {
		return err
	}
	errs := []error{fmt.Errorf("the database itself: %v", db.Verify(ctx))}
	of := sqlite.BackupOf{Name: "d"}
	_, err = h.RestoreTo(ctx, io.Discard, sqlite.RestoreOptions{Of: of, Target: backup.Target{Latest: true}})
	report, err2 := h.VerifyBackup(ctx, of, true, nil)
	errs = append(errs, fmt.Errorf("restoring to a file: %v", err), fmt.Errorf("verifying the backup: %v, %+v", err2, report.Problems))
	if b, err := h.Backups(ctx, of); err == nil {
		for _, o := range b.Manifest.Objects {
			errs = append(errs, fmt.Errorf("object %s %s pages %d checksum %016x", o.Key, o.Purpose, o.State.Pages, o.State.Checksum))
		}
		for _, l := range b.Manifest.Logs {
			errs = append(errs, fmt.Errorf("log %s %d-%d epoch %d", l.Key, l.First, l.Last, l.Epoch))
		}
	}
	return errors.Join(errs...)
}
