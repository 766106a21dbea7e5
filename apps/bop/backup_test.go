package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

func TestAKeyIsPutFirstAndNoneIsLost(t *testing.T) {
	name := filepath.Join(t.TempDir(), "keys")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"k1", "k2", "k3"} {
		to := name
		if key == "k3" {
			to = link
		}
		if status, out, errs := command(t, "key", "new", key, "--file", to); status != 0 || !strings.Contains(out, "key "+key+" is the first now") {
			t.Fatalf("%d %q %q", status, out, errs)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		names = append(names, strings.Fields(line)[0])
	}
	if fmt.Sprint(names) != "[k3 k2 k1]" {
		t.Errorf("the keys are %v", names)
	}
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link isn't one any more: %v", err)
	}
	if _, err := crypt.OpenProvider(t.Context(), link); err != nil {
		t.Error(err)
	}

	other := filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(other, []byte("no keys at all\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"a name is for ever", []string{"k2", "--file", name}, "names are for ever"},
		{"another file stays as it is", []string{"k9", "--file", other}, "is no key file"},
		{"a name has no spaces", []string{"a b"}, "A-Z a-z 0-9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, out, errs := command(t, append([]string{"key", "new"}, c.args...)...); status != 1 || out != "" || !strings.Contains(errs, c.says) {
				t.Errorf("%d %q %q", status, out, errs)
			}
		})
	}
	if again, err := os.ReadFile(name); err != nil || !bytes.Equal(again, text) {
		t.Error("a refusal changed the file")
	}
	if status, out, _ := command(t, "key", "new", "k1"); status != 0 || !strings.HasPrefix(out, "k1 ") || strings.Contains(string(text), out) {
		t.Errorf("%d, or the same key twice", status)
	}
}

func TestCommandsSayWhatTheyLack(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"a snapshot is of one kind", []string{"db", "snapshot", "shop", "--incremental", "--differential"}, "can't be used together"},
		{"a restore goes somewhere", []string{"db", "restore", "shop"}, "--out=FILE or --into=NEWDB"},
		{"and to one place", []string{"db", "restore", "shop", "--out", "f", "--into", "d"}, "can't be used together"},
		{"a version is one", []string{"db", "restore", "shop", "--to", "yesterday", "--out", "f"}, `--to: "yesterday" is no version`},
		{"a bucket makes no databases", []string{"db", "restore", "shop", "--cold", "file:///x", "--into", "d"}, "give --out FILE"},
		{"a bucket is there", []string{"db", "restore", "shop", "--cold", "file:///no/such/folder", "--out", "f"}, "no such file"},
		{"deep is about the backup", []string{"db", "verify", "shop", "--deep"}, "--backup"},
		{"a version is what is restored", []string{"db", "verify", "shop", "--to", "1"}, "--restore"},
		{"keys are of something", []string{"db", "rekey", "--wrap"}, "--all"},
		{"of one or of all", []string{"db", "rekey", "shop", "--all", "--wrap"}, "not both"},
		{"it is said which keys", []string{"db", "rekey", "shop"}, "--wrap (data keys are"},
		{"a look changes nothing", []string{"db", "rekey", "shop", "--status", "--data"}, "give it alone"},
		{"a rate is a size", []string{"db", "rekey", "shop", "--data", "--rate", "fast"}, "20MiB/s"},
		{"an import is of something", []string{"db", "import", "shop"}, "--litestream URL"},
		{"a file has one version", []string{"db", "import", "shop", os.Args[0], "--to", "1"}, "one version"},
		{"a size has a unit", []string{"serve", "--cold", "file:///x", "--cold-bytes", "10gib"}, "e.g. 512MiB or 10GiB"},
		{"a schedule has names", []string{"serve", "--cold", "file:///x", "--snapshots", "often"}, "full=24h"},
		{"snapshots go to a bucket", []string{"serve", "--snapshots", "full=24h"}, "--snapshots needs --cold"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, out, errs := command(t, append(c.args, "--http", "127.0.0.1:1")...); status == 0 || !strings.Contains(out+errs, c.says) {
				t.Errorf("%d %q", status, errs)
			}
		})
	}
}

func TestBackupsByTheCommands(t *testing.T) {
	dir := t.TempDir()
	keys, bucket, out := filepath.Join(dir, "keys"), (&url.URL{Scheme: "file", Path: filepath.Join(dir, "bucket")}).String(), filepath.Join(dir, "out.sqlite")
	does := func(says string, args ...string) string {
		t.Helper()
		status, text, errs := command(t, args...)
		if status != 0 || !strings.Contains(text, says) {
			t.Fatalf("%v: %d %q %q", args, status, text, errs)
		}
		return text
	}
	refuses := func(says string, args ...string) {
		t.Helper()
		if status, text, errs := command(t, args...); status == 0 || !strings.Contains(errs, says) {
			t.Fatalf("%v: %d %q %q", args, status, text, errs)
		}
	}
	does("first now", "key", "new", "k1", "--file", keys)
	m := newMember(t, "n1")
	m.begin("--cold", bucket, "--key-file", keys, "--cold-log-interval", "10ms", "--cold-page-interval", "100ms")
	m.serves()
	remote := func(args ...string) []string { return append(args, "--http", m.HTTP) }
	c := m.connect("")
	for _, text := range []string{"CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)"} {
		if _, err := c.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	does("full, transaction", remote("db", "snapshot", "bop", "--label", "before the release")...)
	does("nothing has changed since then", remote("db", "snapshot", "bop", "--incremental")...)
	does("before the release", remote("db", "snapshots", "bop")...)
	var list struct {
		Restorable []struct{ Last uint64 }
	}
	if err := json.Unmarshal([]byte(does(`"kind":"upload"`, remote("db", "snapshots", "bop", "--all", "--json")...)), &list); err != nil || len(list.Restorable) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	does(out, remote("db", "restore", "bop", "--out", out)...)
	refuses("give --force", remote("db", "restore", "bop", "--out", out)...)
	does(fmt.Sprint("as of transaction ", list.Restorable[0].Last), remote("db", "restore", "bop", "--out", out, "--force")...)
	does("to copy", remote("db", "restore", "bop", "--to", fmt.Sprint(list.Restorable[0].Last), "--into", "copy")...)
	refuses("exists", remote("db", "restore", "bop", "--into", "copy")...)
	does("is in order on this server", remote("db", "verify", "copy")...)
	does("in order", remote("db", "verify", "bop", "--backup", "--deep", "--restore")...)
	does("first now", "key", "new", "k2", "--file", keys)
	does("k2", remote("db", "rekey", "--all", "--wrap", "--data", "--rate", "64MiB/s", "--wait")...)
	does(`"wrapped_by":"k2"`, remote("db", "rekey", "bop", "--status", "--json")...)
	does("_bop_system", remote("db", "rekey", "--all", "--status")...)
	want, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	c.Close(t.Context())
	if code := m.end(); code != 0 {
		t.Fatalf("it ended with %d", code)
	}

	// Without a server, and with the other bytes that rekeying made of the bucket.
	off := filepath.Join(dir, "off.sqlite")
	does("as of transaction", "db", "restore", "bop", "--cold", bucket, "--key-file", keys, "--to", fmt.Sprint(list.Restorable[0].Last), "--out", off)
	if got, err := os.ReadFile(off); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the bucket and the server give different files: %d and %d bytes, %v", len(got), len(want), err)
	}
	refuses("give --key-file", "db", "restore", "bop", "--cold", bucket, "--out", off, "--force")
	refuses("but these:", "db", "restore", "nosuch", "--cold", bucket, "--key-file", keys, "--out", off, "--force")
	refuses("restorable:", "db", "restore", "bop", "--cold", bucket, "--key-file", keys, "--to", "4000", "--out", filepath.Join(dir, "never"))
	if _, err := os.Stat(filepath.Join(dir, "never")); err == nil {
		t.Error("a restore that failed left a file")
	}
}

// cutting passes requests on to a server, and ends the body of a restore after so many bytes.
func cutting(t *testing.T, server string, after int64) string {
	to := &url.URL{Scheme: "http", Host: server}
	p := httputil.NewSingleHostReverseProxy(to)
	p.ErrorLog = log.New(io.Discard, "", 0)
	p.ModifyResponse = func(r *http.Response) error {
		if strings.HasSuffix(r.Request.URL.Path, "/restored") {
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.LimitReader(r.Body, after), r.Body}
		}
		return nil
	}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestARestoreThatBreaksOffGoesOn(t *testing.T) {
	dir := t.TempDir()
	bucket := (&url.URL{Scheme: "file", Path: filepath.Join(dir, "bucket")}).String()
	m := newMember(t, "n1")
	m.begin("--cold", bucket, "--cold-log-interval", "10ms", "--cold-page-interval", "100ms")
	m.serves()
	c := m.connect("")
	for _, text := range []string{
		"CREATE TABLE t (a text)",
		"INSERT INTO t SELECT repeat(md5(g::text), 100) FROM generate_series(1, 3000) g",
	} {
		if _, err := c.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	restore := func(name string, more ...string) []string {
		return append([]string{"db", "restore", "bop", "--json", "--out", filepath.Join(dir, name)}, more...)
	}
	type result struct {
		TXID    uint64 `json:"txid"`
		Bytes   int64  `json:"bytes"`
		Resumed int64  `json:"resumed_at"`
	}
	does := func(args ...string) (r result) {
		t.Helper()
		status, out, errs := command(t, args...)
		if err := json.Unmarshal([]byte(out), &r); status != 0 || err != nil {
			t.Fatalf("%v: %d %q %q", args, status, out, errs)
		}
		return r
	}
	breaks := func(says string, args ...string) {
		t.Helper()
		if status, _, errs := command(t, args...); status == 0 || !strings.Contains(errs, says) {
			t.Fatalf("%v: %d %q", args, status, errs)
		}
	}
	same := func(name string) {
		t.Helper()
		got, err := os.ReadFile(filepath.Join(dir, name))
		want, err2 := os.ReadFile(filepath.Join(dir, "whole"))
		if err := errors.Join(err, err2); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d and %d bytes, %v", len(got), len(want), err)
		}
		left, err := filepath.Glob(filepath.Join(dir, name+".*"))
		if err != nil || len(left) > 0 {
			t.Fatal(left, err)
		}
	}
	whole := does(restore("whole", "--http", m.HTTP)...)
	if whole.Resumed != 0 || whole.Bytes < 4<<20 {
		t.Fatalf("%+v", whole)
	}
	half := cutting(t, m.HTTP, 1<<21+77)

	breaks("goes on from there", restore("a", "--http", half)...)
	if _, err := c.Exec(t.Context(), "INSERT INTO t VALUES ('later')"); err != nil {
		t.Fatal(err)
	}
	breaks("goes on from there", restore("a", "--http", half)...) // another 2 MiB
	if r := does(restore("a", "--http", m.HTTP)...); r.TXID != whole.TXID || r.Resumed != 2*(1<<21+77) {
		t.Fatalf("%+v after %+v", r, whole)
	}
	same("a")

	breaks("goes on from there", restore("b", "--http", half)...)
	if r := does(restore("b", "--http", m.HTTP, "--restart")...); r.TXID == whole.TXID || r.Resumed != 0 {
		t.Fatalf("%+v after %+v", r, whole)
	}

	to := []string{"--to", fmt.Sprint(whole.TXID)}
	breaks("goes on from there", restore("c", append(to, "--http", half)...)...)
	f, err := os.OpenFile(filepath.Join(dir, "c.part"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("other"), 1<<20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	breaks("isn't the database", restore("c", append(to, "--http", m.HTTP)...)...)
	breaks("goes on from there", restore("c", append(to, "--http", half)...)...)
	c.Close(t.Context())
	if code := m.end(); code != 0 {
		t.Fatalf("it ended with %d", code)
	}
	// What a server began goes on without one.
	if r := does(restore("c", append(to, "--cold", bucket)...)...); r.TXID != whole.TXID || r.Resumed != 1<<21+77 {
		t.Fatalf("%+v after %+v", r, whole)
	}
	same("c")
}

func TestTheConfigurationFileIsAboutTheServer(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("bop.conf.yaml", []byte("cold: file:///no/such/folder\nkey-file: command:gettool --token secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// It would be about a folder that isn't there if the server's bucket were taken for the command's.
	if status, _, errs := command(t, "db", "restore", "shop", "--out", "f", "--http", "127.0.0.1:1"); status != 1 || !strings.Contains(errs, "no server at") {
		t.Errorf("%d %q", status, errs)
	}
	status, out, errs := command(t, "config", "print")
	if status != 0 || !strings.Contains(out, "command:gettool …") || strings.Contains(out, "secret") || !strings.Contains(out, "hourly=24,daily=7,weekly=4,log=168h") {
		t.Errorf("%d %q %q", status, out, errs)
	}
}
