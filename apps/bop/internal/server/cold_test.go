package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/apps/bop/internal/config"
	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

// coldSettings are those of a server that keeps its databases in a folder too.
func coldSettings(dir, bucket string) Options {
	o := settings(dir)
	o.Cold = config.BucketURL(folderURL(bucket))
	o.ColdLogInterval, o.ColdPageInterval = 10*time.Millisecond, 100*time.Millisecond
	return o
}

func folderURL(dir string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}).String()
}

// keyFile makes a key file with some keys, of which the first is current.
func keyFile(t *testing.T, names ...string) config.KeySpec {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keys")
	var text strings.Builder
	for _, n := range names {
		text.WriteString(crypt.GenerateKey(n))
	}
	if err := os.WriteFile(name, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.KeySpec(name)
}

// refused starts a server that is to refuse to start, and returns its words.
func refused(t *testing.T, o Options) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o.Out = io.Discard
	err := Run(ctx, o)
	if err == nil {
		t.Fatal("it served")
	}
	return err.Error()
}

// tree is what is in a folder.
func tree(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	files := map[string][32]byte{}
	if err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		files[name] = sha256.Sum256(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

func (r *running) admin() *admin.Client { return admin.NewClient(r.HTTP, "", nil) }

// txid is the newest transaction of a database.
func (r *running) txid(name string) uint64 {
	r.t.Helper()
	list, err := r.admin().List(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(d admin.Info) bool { return d.Name == name })
	if i < 0 {
		r.t.Fatalf("there is no database %s in %+v", name, list)
	}
	return list[i].TXID
}

// uploaded waits until a transaction of a database can be restored from the bucket.
func (r *running) uploaded(name string, txid uint64) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("the bucket has transaction %d of %s", txid, name), func() bool {
		list, err := r.admin().Snapshots(r.t.Context(), name, false)
		return err == nil && len(list.Restorable) > 0 && list.Restorable[len(list.Restorable)-1].Last >= txid
	})
}

// count is how many rows table t of an SQLite file has.
func count(t *testing.T, file []byte) (n int) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "restored.sqlite")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := sqlite3.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, _, err := c.Prepare(`SELECT count(*) FROM t`)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Step() {
		n = s.ColumnInt(0)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

func rows(t *testing.T, c *pgx.Conn) (n int) {
	t.Helper()
	if err := c.QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// connectTo opens a PostgreSQL connection to a database.
func (r *running) connectTo(name string) *pgx.Conn {
	r.t.Helper()
	c, err := pgx.Connect(r.t.Context(), "postgres://ada@"+r.PG+"/"+name+"?sslmode=disable")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func TestEachTransactionComesBack(t *testing.T) {
	r := run(t, coldSettings(t.TempDir(), t.TempDir()))
	c, a, ctx := r.connect(), r.admin(), t.Context()
	exec(t, c, "CREATE TABLE t (a int)")
	first, err := a.Snapshot(ctx, "bop", admin.SnapshotOptions{Label: "begin"}, nil)
	if err != nil || first.Kind != "full" || first.TXID != r.txid("bop") {
		t.Fatalf("%+v, %v", first, err)
	}
	want := map[uint64]int{first.TXID: 0} // rows by transaction
	var third time.Time
	for n := 1; n <= 6; n++ {
		exec(t, c, "INSERT INTO t VALUES (1)")
		want[r.txid("bop")] = n
		if n == 3 {
			third = time.Now()
			time.Sleep(time.Millisecond) // the next transaction is of another microsecond
		}
		if n == 4 {
			s, err := a.Snapshot(ctx, "bop", admin.SnapshotOptions{Kind: "incremental"}, nil)
			if err != nil || s.Kind != "incremental" {
				t.Fatalf("%+v, %v", s, err)
			}
		}
	}
	restore := func(to string) (int, admin.Version) {
		t.Helper()
		var out bytes.Buffer
		var v admin.Version
		if err := a.Restore(ctx, "bop", to, admin.Begun{}, &out, func(found admin.Version, _ int64) { v = found }); err != nil {
			t.Fatalf("to %s: %v", to, err)
		}
		if v.Bytes != int64(out.Len()) {
			t.Errorf("to %s: %d bytes came, %d were told", to, out.Len(), v.Bytes)
		}
		return count(t, out.Bytes()), v
	}
	for _, txid := range slices.Sorted(maps.Keys(want)) {
		if n, v := restore(fmt.Sprint(txid)); n != want[txid] || v.TXID != txid {
			t.Errorf("transaction %d: %d rows of %+v, want %d", txid, n, v, want[txid])
		}
	}
	if n, v := restore("latest"); n != 6 || v.TXID != r.txid("bop") {
		t.Errorf("the newest: %d rows, %+v", n, v)
	}
	if n, _ := restore(third.UTC().Format(time.RFC3339Nano)); n != 3 {
		t.Errorf("the time of the third: %d rows", n)
	}

	list, err := a.Snapshots(ctx, "bop", false)
	if err != nil || len(list.Snapshots) != 2 || list.Snapshots[0].Label != "begin" || len(list.Restorable) != 1 || list.Restorable[0].Last != r.txid("bop") {
		t.Errorf("%+v, %v", list, err)
	}
	if err := a.Restore(ctx, "bop", "4000", admin.Begun{}, io.Discard, nil); err == nil || !strings.Contains(err.Error(), "restorable: transaction") {
		t.Errorf("a transaction that isn't there: %v", err)
	}
	if v, err := a.RestoreInto(ctx, "bop", fmt.Sprint(first.TXID+2), "before", nil); err != nil || v.TXID != first.TXID+2 {
		t.Errorf("%+v, %v", v, err)
	}
	if n := rows(t, r.connectTo("before")); n != 2 {
		t.Errorf("the new database has %d rows", n)
	}
	v, err := a.Verify(ctx, "bop", admin.VerifyOptions{Backup: true, Deep: true, Restore: true}, nil)
	if err != nil || v.Backup == nil || len(v.Backup.Problems) > 0 || v.Backup.Objects < 2 || v.Restored == nil || v.Restored.TXID != r.txid("bop") {
		t.Errorf("%+v, %v", v, err)
	}
	if v, err := a.Verify(ctx, "bop", admin.VerifyOptions{}, nil); err != nil || !v.Server {
		t.Errorf("%+v, %v", v, err)
	}
	if _, metrics := r.get("/metrics"); !strings.Contains(metrics, `bop_objstore_request_seconds_count{op="put",outcome="ok"}`) || !strings.Contains(metrics, "bop_sqlite_bucket_uploaded_bytes_total") {
		t.Error("the metrics say nothing of the bucket")
	}
}

func TestWithoutABucketThereAreNoSnapshots(t *testing.T) {
	r := run(t, settings(t.TempDir()))
	if _, err := r.admin().Snapshot(t.Context(), "bop", admin.SnapshotOptions{}, nil); err == nil || !strings.Contains(err.Error(), "--cold s3://") {
		t.Errorf("%v", err)
	}
	if _, err := r.admin().Rekey(t.Context(), "bop", admin.RekeyOptions{Data: true}, nil); err == nil || !strings.Contains(err.Error(), "bop key new") {
		t.Errorf("%v", err)
	}
}

func TestAWrongKeyIsRefusedAndChangesNothing(t *testing.T) {
	dir, bucket := t.TempDir(), t.TempDir()
	o := coldSettings(dir, bucket)
	o.KeyFile = keyFile(t, "k1")
	r := run(t, o)
	c := r.connect()
	exec(t, c, "CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)")
	r.uploaded("bop", r.txid("bop"))
	c.Close(t.Context())
	r.stop()
	if err := r.ended(); err != nil {
		t.Fatal(err)
	}
	before, inBucket := tree(t, dir), tree(t, bucket)
	fresh := filepath.Join(t.TempDir(), "new")
	for _, c := range []struct {
		name string
		dir  string
		keys config.KeySpec
		says string
	}{
		{"no key", dir, "", "give --key-file"},
		{"another key of the same name", dir, keyFile(t, "k1"), "another one than that which wrapped"},
		{"a key of another name", dir, keyFile(t, "k2"), `"k1": the key isn't there`},
		{"a file that isn't there", dir, config.KeySpec(filepath.Join(t.TempDir(), "none")), "--key-file"},
		{"no key for what is in the bucket", fresh, "", "give --key-file"},
		{"another key than that of what is in the bucket", fresh, keyFile(t, "k1"), "another one than that which wrapped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := coldSettings(c.dir, bucket)
			o.KeyFile = c.keys
			if words := refused(t, o); !strings.Contains(words, c.says) {
				t.Errorf("it says %s", words)
			}
		})
	}
	if !maps.Equal(before, tree(t, dir)) {
		t.Error("the folder was changed")
	}
	if !maps.Equal(inBucket, tree(t, bucket)) {
		t.Error("the bucket was changed")
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("a new folder was made all the same")
	}
	if n := rows(t, run(t, o).connect()); n != 1 {
		t.Errorf("with the right key there are %d rows", n)
	}
}

func TestANewFolderGoesOnWithTheBucketAndSaysWithWhat(t *testing.T) {
	bucket := t.TempDir()
	o := coldSettings(t.TempDir(), bucket)
	o.KeyFile = keyFile(t, "k1")
	r := run(t, o)
	c := r.connect()
	exec(t, c, "CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)")
	last := r.txid("bop")
	r.uploaded("bop", last)
	c.Close(t.Context())
	if len(r.TakenOver) > 0 {
		t.Errorf("the first server took over %+v", r.TakenOver)
	}
	r.stop()
	if err := r.ended(); err != nil {
		t.Fatal(err)
	}

	several := coldSettings(filepath.Join(t.TempDir(), "new"), bucket)
	several.KeyFile = o.KeyFile
	several.InitialCluster = "n1=" + freeAddress(t) + ",n2=" + freeAddress(t)
	if words := refused(t, several); !strings.Contains(words, "start one node alone first") {
		t.Errorf("several new nodes: %s", words)
	}
	if _, err := os.Stat(several.DataDir); err == nil {
		t.Error("several new nodes: the folder was made all the same")
	}

	var log bytes.Buffer
	o.DataDir = t.TempDir()
	o.Logger = logTo(&log)
	next := run(t, o)
	if len(next.TakenOver) != 1 || next.TakenOver[0].Database != "bop" || next.TakenOver[0].TXID != last || next.TakenOver[0].Time.IsZero() {
		t.Errorf("it says that it took over %+v, not transaction %d of bop", next.TakenOver, last)
	}
	if n := rows(t, next.connect()); n != 2 {
		t.Errorf("%d rows", n)
	}
	exec(t, next.connect(), "INSERT INTO t VALUES (3)")
	next.stop()
	if err := next.ended(); err != nil {
		t.Fatal(err)
	}
	contains(t, log.String(), "goes on from the bucket", "database=bop", fmt.Sprint("txid=", last))
}

func TestTheLastOfSeveralNewNodesMayFindABucketThatIsInUse(t *testing.T) {
	bucket := t.TempDir()
	list := map[string]string{"n1": freeAddress(t), "n2": freeAddress(t), "n3": freeAddress(t)}
	var parts []string
	for name, addr := range list {
		parts = append(parts, name+"="+addr)
	}
	start := func(name string) *running {
		o := coldSettings(t.TempDir(), bucket)
		o.Node, o.Raft, o.InitialCluster = name, list[name], strings.Join(parts, ",")
		return begin(t, o)
	}
	first, second := start("n1"), start("n2")
	first.serves()
	second.serves()
	eventually(t, "the bucket has a root", func() bool {
		_, err := os.Stat(filepath.Join(bucket, "system"))
		return err == nil
	})
	start("n3").serves()
}

func TestADatabaseIsEncryptedWhileItServes(t *testing.T) {
	o := coldSettings(t.TempDir(), t.TempDir())
	r := run(t, o)
	c := r.connect()
	exec(t, c, "CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)")
	c.Close(t.Context())
	r.stop()
	if err := r.ended(); err != nil {
		t.Fatal(err)
	}
	o.KeyFile = keyFile(t, "k2", "k1")
	r = run(t, o)
	a, ctx := r.admin(), t.Context()
	if list, err := a.RekeyStatus(ctx, ""); err != nil || len(list) != 2 || list[1].Name != "bop" || list[1].Encrypted || !list[0].System {
		t.Fatalf("before: %+v, %v", list, err)
	}
	if _, err := a.Rekey(ctx, "bop", admin.RekeyOptions{}, nil); err == nil || !strings.Contains(err.Error(), "wrap") {
		t.Errorf("a change of nothing: %v", err)
	}
	list, err := a.Rekey(ctx, "", admin.RekeyOptions{Data: true, Wait: true}, nil)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, s := range list {
		// The system database was encrypted when the server was started with keys.
		if !s.Encrypted || s.Running || s.Error != "" || !s.System && len(s.Keys) != 1 || s.Keys[0].WrappedBy != "k2" {
			t.Errorf("%+v", s)
		}
	}
	if list, err = a.Rekey(ctx, "bop", admin.RekeyOptions{Data: true, Wrap: true, Wait: true}, nil); err != nil || len(list) != 1 || len(list[0].Keys) != 2 || !list[0].Keys[1].Current {
		t.Errorf("%+v, %v", list, err)
	}
	if n := rows(t, r.connect()); n != 1 {
		t.Errorf("%d rows", n)
	}
	r.stop()
	if err := r.ended(); err != nil {
		t.Fatal(err)
	}
	o.KeyFile = ""
	if words := refused(t, o); !strings.Contains(words, "give --key-file") {
		t.Errorf("without the keys: %s", words)
	}
}

func TestAReplicaOfLitestreamIsImported(t *testing.T) {
	bucket := t.TempDir()
	r := run(t, coldSettings(t.TempDir(), bucket))
	c, a, ctx := r.connect(), r.admin(), t.Context()
	exec(t, c, "CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)")
	s, err := a.Snapshot(ctx, "bop", admin.SnapshotOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, c, "INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (3)")
	if _, err := a.Snapshot(ctx, "bop", admin.SnapshotOptions{Kind: "incremental"}, nil); err != nil {
		t.Fatal(err)
	}
	list, err := a.Snapshots(ctx, "bop", false)
	if err != nil {
		t.Fatal(err)
	}
	replica := litestream(t, bucket, list.ID)
	for _, c := range []struct {
		name, to string
		rows     int
	}{{"newest", "", 3}, {"older", fmt.Sprint(s.TXID), 1}} {
		v, err := a.ImportLitestream(ctx, c.name, admin.LitestreamOptions{URL: folderURL(replica), To: c.to}, nil)
		if err != nil || v.Bytes == 0 {
			t.Errorf("%s: %+v, %v", c.name, v, err)
			continue
		}
		if n := rows(t, r.connectTo(c.name)); n != c.rows {
			t.Errorf("%s: %d rows, want %d", c.name, n, c.rows)
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct{ name, url, says string }{
		{"a folder that isn't there", folderURL(none), "no such file"}, {"memory", "mem:", "s3://BUCKET"}, {"an empty folder", folderURL(t.TempDir()), "no LTX file"},
	} {
		if _, err := a.ImportLitestream(ctx, "x", admin.LitestreamOptions{URL: c.url}, nil); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("a folder was made to read from")
	}
}

// litestream copies what a bucket has of a database to a plain folder, which is a replica of Litestream's.
func litestream(t *testing.T, bucket, id string) string {
	t.Helper()
	from, err := objstore.OpenPlainDir(bucket)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	to, err := objstore.OpenPlainDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for info, err := range from.List(t.Context(), id+"/", "") {
		if err != nil {
			t.Fatal(err)
		}
		_, key, ok := strings.Cut(info.Key, "/ltx/")
		if !ok {
			continue
		}
		n++
		body, _, err := from.Get(t.Context(), info.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		if err = errors.Join(err, body.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Put(t.Context(), path.Join("ltx", key), bytes.NewReader(b), int64(len(b)), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if n < 2 {
		t.Fatalf("the bucket has %d LTX files of %s", n, id)
	}
	return dir
}

func TestNamesForTheBucket(t *testing.T) {
	for _, c := range []struct{ node, want string }{
		{"n1", "n1"}, {"Db-1.example_org", "Db-1.example_org"}, {"a b", "a-b-" + "c8687a08"}, {"..", ""}, {strings.Repeat("x", 100), ""}, {"ä/b", ""},
	} {
		got := safeName(c.node)
		if c.want != "" && got != c.want || len(got) > maxSafeName || strings.Trim(got, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" || strings.Trim(got, ".") == "" {
			t.Errorf("%q becomes %q", c.node, got)
		}
	}
	if safeName("a b") == safeName("a-b") || safeName("a b") == safeName("a/b") {
		t.Error("two nodes have one name")
	}
}

func TestTheFolderIsCheckedWithoutAHost(t *testing.T) {
	if err := sqlite.CheckKeys(filepath.Join(t.TempDir(), "none"), nil); err != nil {
		t.Errorf("a folder that isn't there: %v", err)
	}
}

func TestAnyServerTakesSnapshotsByItsLeader(t *testing.T) {
	bucket := t.TempDir()
	f := newFleet(t, 3, func(o *Options) {
		o.Cold = config.BucketURL(folderURL(bucket))
		o.ColdLogInterval, o.ColdPageInterval = 10*time.Millisecond, 100*time.Millisecond
	})
	exec(t, f.nodes["n1"].connect(), "CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)")
	for name, r := range f.nodes {
		exec(t, r.connect(), "INSERT INTO t VALUES (1)")
		s, err := r.admin().Snapshot(t.Context(), "bop", admin.SnapshotOptions{Label: name}, nil)
		if err != nil || s.Label != name || s.Unchanged {
			t.Errorf("%s: %+v, %v", name, s, err)
			continue
		}
		var out bytes.Buffer
		if err := r.admin().Restore(t.Context(), "bop", fmt.Sprint(s.TXID), admin.Begun{}, &out, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if n := count(t, out.Bytes()); n < 2 {
			t.Errorf("%s: %d rows", name, n)
		}
		list, err := r.admin().Snapshots(t.Context(), "bop", false)
		if err != nil || !slices.ContainsFunc(list.Snapshots, func(o admin.Snapshot) bool { return o.ID == s.ID }) {
			t.Errorf("%s: its snapshot isn't among %+v, %v", name, list, err)
		}
	}
}
