package coldtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
)

func init() {
	withLitestream = append(withLitestream,
		test{"restores what is in a folder", restoresAFolder},
		test{"makes replicas that are imported", replicasAreImported})
	withBoth = append(withBoth, test{"restores what is in S3", restoresS3})
}

// run runs Litestream's command.
func run(t testing.TB, args ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, *litestream, args...)
	// Litestream has an HTTP client of its own, into which AWS's library can't put other certificates.
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_CA_BUNDLE=") }),
		"LITESTREAM_ACCESS_KEY_ID="+accessKey, "LITESTREAM_SECRET_ACCESS_KEY="+secretKey)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("litestream %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// restoredBy is a version that Litestream's command restores.
func restoredBy(t testing.TB, replica string, args ...string) ([]byte, error) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.db")
	if err := run(t, append(append([]string{"restore", "-o", out}, args...), replica)...); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

func restoresAFolder(t *testing.T) {
	for i := range 2 {
		t.Run(fmt.Sprint("history ", i), func(t *testing.T) {
			dir := t.TempDir()
			b, err := objstore.OpenPlainDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			litestreamRestores(t, b, func(replica string) string { return "file://" + filepath.Join(dir, replica) })
		})
	}
}

func restoresS3(t *testing.T) {
	g := start(t)
	b := g.bucket(g.url, "replicas", objstore.RetryOptions{})
	litestreamRestores(t, b, func(replica string) string {
		return "s3://bucket/replicas/" + replica + "?region=us-east-1&endpoint=" + url.QueryEscape(g.url)
	})
}

// litestreamRestores makes a random history with backups of all kinds, and restores each version at which a backup ended
// by Litestream's command. It must be what the database was then, byte for byte.
func litestreamRestores(t *testing.T, b objstore.Bucket, at func(replica string) string) {
	r := random(t)
	o := cold(t.TempDir(), b)
	o.Cold.Policy = backup.Policy{Chain: 4, Full: 0.7, FullBytes: 4 << 20}
	h := open(t, o)
	db := create(t, h, "d", sqlite.CreateOptions{PageSize: 512 << r.IntN(6)})
	c := connect(t, db)
	do(t, c, schema)
	work := &history{r: r, vacuum: true}
	states, times := map[sqlite.TXID][]byte{}, map[sqlite.TXID]time.Time{}
	kinds := []backup.Purpose{backup.PurposeFull, backup.PurposeIncremental, backup.PurposeDifferential}
	backups := 0
	for i := range 90 {
		if i == 89 { // in S3, Litestream takes no time that isn't before the second of the newest upload
			time.Sleep(1100 * time.Millisecond)
		}
		do(t, c, work.next())
		if i == 60 {
			do(t, c, fmt.Sprintf(`PRAGMA page_size = %d; VACUUM`, 512<<r.IntN(8)))
		}
		if r.IntN(5) > 0 && i != 89 {
			continue
		}
		backups++
		txid := db.Heads().Committed
		states[txid] = exported(t, db)
		if k := r.IntN(5); k < 3 {
			if _, err := db.Snapshot(t.Context(), sqlite.SnapshotOptions{Kind: kinds[k]}); err != nil {
				t.Fatal(err)
			}
		} else if err := db.Upload(t.Context()); err != nil {
			t.Fatal(err)
		}
		merge(t, db, o.Cold.Policy, r.IntN(2))
		time.Sleep(2 * time.Millisecond) // Litestream's times have milliseconds
	}
	bk, err := h.Backups(t.Context(), sqlite.BackupOf{Name: "d"})
	if err != nil {
		t.Fatal(err)
	}
	replica := at(fmt.Sprintf("%s/%016x", db.ID(), db.Lineage()))
	ends := map[sqlite.TXID]bool{}
	for _, o := range bk.Manifest.Objects {
		ends[o.Max] = true
		times[o.Max] = time.UnixMicro(o.State.Time)
	}
	tested := 0
	for txid := range ends {
		state, ok := states[txid]
		if !ok {
			t.Fatalf("a backup ends at transaction %d, at which none was made", txid)
		}
		ours := restored(t, h, "d", backup.Target{TXID: txid})
		if d := differ(ours, state); d != "" {
			t.Fatalf("transaction %d: what we restore and what was: %s", txid, d)
		}
		theirs, err := restoredBy(t, replica, "-txid", fmt.Sprintf("%016x", txid))
		if err != nil {
			t.Errorf("transaction %d: %v", txid, err)
			continue
		}
		if d := differ(theirs, ours); d != "" {
			t.Errorf("transaction %d: what Litestream restores and what we do: %s", txid, d)
		}
		sound(t, ours)
		tested++
		if txid == db.Heads().Committed {
			continue // Litestream refuses times after the newest
		}
		// It takes what is older than the time.
		theirs, err = restoredBy(t, replica, "-timestamp", times[txid].Truncate(time.Millisecond).Add(time.Millisecond).UTC().Format(time.RFC3339Nano))
		if err != nil {
			t.Errorf("the time of transaction %d: %v", txid, err)
		} else if d := differ(theirs, ours); d != "" {
			t.Errorf("the time of transaction %d: what Litestream restores and what we do: %s", txid, d)
		}
	}
	newest, err := restoredBy(t, replica, "-integrity-check", "full")
	if err != nil {
		t.Fatal(err)
	}
	if d := differ(newest, exported(t, db)); d != "" {
		t.Errorf("the newest version: what Litestream restores and what there is: %s", d)
	}
	t.Logf("%d backups, %d versions restored by Litestream, %d objects, page size %d", backups, tested, len(bk.Manifest.Objects), bk.Manifest.Objects[0].State.Size)
}

// merge carries out up to n merges that are due.
func merge(t testing.TB, db *sqlite.DB, p backup.Policy, n int) {
	t.Helper()
	for range n {
		if err := db.WithBackup(t.Context(), func(ctx context.Context, w *backup.Writer) error {
			if g := backup.NextMerge(w.Manifest(), p); g != nil {
				return w.Merge(ctx, g, backup.MergeOptions{})
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// replicasAreImported replicates a SQLite file in WAL mode by Litestream's command, several times, and takes each version.
func replicasAreImported(t *testing.T) {
	r := random(t)
	folder := t.TempDir()
	source, replica := filepath.Join(t.TempDir(), "source.db"), filepath.Join(folder, "replica")
	states := map[sqlite.TXID]string{}
	work := &history{r: r, vacuum: true}
	const digest = `SELECT count(*), total(id), total(length(b)), group_concat(DISTINCT a) FROM t`
	var last string
	for round := range 8 {
		c, err := sqlite3.Open("file:" + source)
		if err != nil {
			t.Fatal(err)
		}
		// Litestream makes the checkpoints, or it would lose its place.
		if err := c.Exec(`PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0`); err != nil {
			t.Fatal(err)
		}
		want(t, c, `PRAGMA journal_mode`, "wal")
		if round == 0 {
			if err := c.Exec(schema); err != nil {
				t.Fatal(err)
			}
		}
		for range 12 {
			if err := c.Exec(work.next()); err != nil {
				t.Fatal(err)
			}
		}
		if last, err = text(c, digest); err != nil {
			t.Fatal(err)
		}
		args := []string{"replicate", "-once"}
		if round%3 == 2 {
			args = append(args, "-force-snapshot")
		}
		if err := run(t, append(args, source, "file://"+replica)...); err != nil {
			t.Fatal(err)
		}
		b, err := objstore.OpenPlainDir(replica)
		if err != nil {
			t.Fatal(err)
		}
		l, err := backup.OpenLitestream(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		var newest sqlite.TXID
		for _, f := range l.Files() {
			newest = max(newest, f.Max)
		}
		states[newest] = last
		c.Close()
	}
	b, err := objstore.OpenPlainDir(replica)
	if err != nil {
		t.Fatal(err)
	}
	l, err := backup.OpenLitestream(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, cold(t.TempDir(), objstore.NewMemory()))
	for txid, state := range states {
		db, err := h.ImportLitestream(t.Context(), fmt.Sprint("v", txid), l, backup.Target{TXID: txid}, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := connect(t, db)
		want(t, c.Raw(), digest, state)
		want(t, c.Raw(), integrity, "ok")
	}
	db, err := h.ImportLitestream(t.Context(), "newest", l, backup.Target{Latest: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want(t, connect(t, db).Raw(), digest, last)
	if len(states) < 4 {
		t.Fatalf("only %d versions", len(states))
	}
	t.Logf("%d versions of %d files", len(states), len(l.Files()))
}
