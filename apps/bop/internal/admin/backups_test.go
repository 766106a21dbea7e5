package admin_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
)

// when is a time that JSON and headers must not round.
var when = time.Date(2026, 11, 30, 18, 0, 5, 123456000, time.UTC)

// vault has backups of no database in particular.
type vault struct {
	steps   chan struct{} // a snapshot takes one for each step, if it isn't nil
	stopped chan error    // gets why a snapshot ended early
}

func (v *vault) Snapshot(ctx context.Context, name string, o admin.SnapshotOptions, p admin.Progress) (admin.Snapshot, error) {
	switch name {
	case "none":
		return admin.Snapshot{}, admin.ErrNotFound
	case "late":
		p(1, 2)
		<-v.steps
		return admin.Snapshot{}, fmt.Errorf("the bucket is gone: %w", admin.ErrNotFound)
	}
	for i := int64(1); v.steps != nil; i++ {
		p(i, 10)
		select {
		case <-ctx.Done():
			v.stopped <- context.Cause(ctx)
			return admin.Snapshot{}, ctx.Err()
		case _, more := <-v.steps:
			if !more {
				return admin.Snapshot{ID: "0a1b2c3d", Kind: o.Kind, TXID: 7, Time: when, Label: o.Label}, nil
			}
		}
	}
	return admin.Snapshot{ID: "0a1b2c3d", Kind: o.Kind, TXID: 7, Time: when, Label: o.Label}, nil
}

func (v *vault) Snapshots(_ context.Context, name string, all bool) (admin.Snapshots, error) {
	list := admin.Snapshots{Name: name}
	if all {
		list.Snapshots = []admin.Snapshot{{ID: "1", Kind: "upload"}}
	}
	return list, nil
}

func (v *vault) Restore(_ context.Context, name, to string, begun admin.Begun, w io.Writer, found func(admin.Version, int64)) error {
	if to != "7" {
		return fmt.Errorf("%w: %q", admin.ErrNotFound, to)
	}
	is := admin.Version{TXID: 7, Time: when, Bytes: 1 << 20, PageSize: 4096, Checksum: 0xabc}
	from := begun.Of(is)
	found(is, from)
	switch name {
	case "unreadable":
		return errors.New("the first page is damaged")
	case "damaged":
		w.Write(make([]byte, 1<<19))
		return errors.New("a page is damaged")
	}
	_, err := w.Write(bytes.Repeat([]byte{7}, 1<<20-int(from)))
	return err
}

func (v *vault) RestoreInto(_ context.Context, name, to, into string, _ admin.Progress) (admin.Version, error) {
	if into == "taken" {
		return admin.Version{}, admin.ErrExists
	}
	return admin.Version{TXID: 7, Time: when, Bytes: 1}, nil
}

func (v *vault) Verify(_ context.Context, _ string, o admin.VerifyOptions, _ admin.Progress) (admin.Verified, error) {
	if o.Backup {
		return admin.Verified{Backup: &admin.Report{Deep: o.Deep, Problems: []string{"missing"}}}, nil
	}
	return admin.Verified{Server: true}, nil
}

func (v *vault) Rekey(_ context.Context, name string, o admin.RekeyOptions, _ admin.Progress) ([]admin.RekeyStatus, error) {
	return []admin.RekeyStatus{{Name: name, Encrypted: o.Data, Done: o.BytesPerSecond}}, nil
}

func (v *vault) RekeyStatus(_ context.Context, name string) ([]admin.RekeyStatus, error) {
	return []admin.RekeyStatus{{Name: name, Keys: []admin.Key{{ID: 3, WrappedBy: "k", Current: true}}}}, nil
}

func (v *vault) ImportLitestream(_ context.Context, _ string, o admin.LitestreamOptions, _ admin.Progress) (admin.Version, error) {
	if o.URL == "" {
		return admin.Version{}, admin.ErrInvalid
	}
	return admin.Version{TXID: 9}, nil
}

func TestBackupsReachTheClientAsTheyAre(t *testing.T) {
	s, url := serve(t, "")
	s.Ready(memory{}, &vault{}, people{})
	c, ctx := admin.NewClient(url, "", nil), t.Context()
	if got, err := c.Snapshot(ctx, "a", admin.SnapshotOptions{Kind: "differential", Label: "x"}, nil); err != nil || got.Kind != "differential" || got.Label != "x" || !got.Time.Equal(when) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := c.Snapshot(ctx, "none", admin.SnapshotOptions{}, nil); !errors.Is(err, admin.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if got, err := c.Snapshots(ctx, "a b/c", true); err != nil || got.Name != "a b/c" || len(got.Snapshots) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := c.RestoreInto(ctx, "a", "latest", "b", nil); err != nil || got.TXID != 7 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := c.RestoreInto(ctx, "a", "latest", "taken", nil); !errors.Is(err, admin.ErrExists) {
		t.Errorf("%v", err)
	}
	if _, err := c.RestoreInto(ctx, "a", "latest", "", nil); !errors.Is(err, admin.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if got, err := c.Verify(ctx, "a", admin.VerifyOptions{Backup: true, Deep: true}, nil); err != nil || got.Backup == nil || !got.Backup.Deep || len(got.Backup.Problems) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := c.Rekey(ctx, "", admin.RekeyOptions{Data: true, BytesPerSecond: 5}, nil); err != nil || len(got) != 1 || got[0].Name != "" || got[0].Done != 5 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := c.RekeyStatus(ctx, "a"); err != nil || len(got) != 1 || got[0].Keys[0].ID != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := c.ImportLitestream(ctx, "a", admin.LitestreamOptions{URL: "file:///x"}, nil); err != nil || got.TXID != 9 || !got.Time.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestARestoredFileComesWithItsVersion(t *testing.T) {
	s, url := serve(t, "")
	s.Ready(memory{}, &vault{}, people{})
	c, ctx := admin.NewClient(url, "", nil), t.Context()
	var out bytes.Buffer
	var v admin.Version
	err := c.Restore(ctx, "a", "7", admin.Begun{}, &out, func(found admin.Version, _ int64) { v = found })
	if err != nil || out.Len() != 1<<20 || v.TXID != 7 || !v.Time.Equal(when) || v.Bytes != 1<<20 || v.PageSize != 4096 || v.Checksum != 0xabc {
		t.Errorf("%d bytes, %+v, %v", out.Len(), v, err)
	}
	if err := c.Restore(ctx, "a", "8", admin.Begun{}, io.Discard, nil); !errors.Is(err, admin.ErrNotFound) {
		t.Errorf("what isn't there: %v", err)
	}
	if err := c.Restore(ctx, "unreadable", "7", admin.Begun{}, io.Discard, nil); err == nil || err.Error() != "the first page is damaged" {
		t.Errorf("an error before the first byte: %v", err)
	}
	if err := c.Restore(ctx, "damaged", "7", admin.Begun{}, io.Discard, nil); err == nil || !strings.Contains(err.Error(), "broke the restore off") {
		t.Errorf("an error behind the first byte: %v", err)
	}
}

func TestARestoreGoesOnBehindWhatThereIs(t *testing.T) {
	s, url := serve(t, "")
	s.Ready(memory{}, &vault{}, people{})
	is := admin.Version{TXID: 7, Checksum: 0xabc}.ID()
	for _, c := range []struct {
		name  string
		begun admin.Begun
		from  int64
	}{
		{"of the same version", admin.Begun{Version: is, Bytes: 1000}, 1000},
		{"all but a byte", admin.Begun{Version: is, Bytes: 1<<20 - 1}, 1<<20 - 1},
		{"of another version", admin.Begun{Version: "6-0000000000000abc", Bytes: 1000}, 0},
		{"more than there is", admin.Begun{Version: is, Bytes: 1<<20 + 1}, 0},
		{"nothing", admin.Begun{}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			told := int64(-1)
			err := admin.NewClient(url, "", nil).Restore(t.Context(), "a", "7", c.begun, &out, func(v admin.Version, from int64) {
				if told = from; v.Bytes != 1<<20 {
					t.Errorf("it has %d bytes", v.Bytes)
				}
			})
			if err != nil || told != c.from || int64(out.Len()) != 1<<20-c.from {
				t.Errorf("%d bytes from %d on, %v", out.Len(), told, err)
			}
		})
	}
}

func TestWhatTakesLongTellsHowFarItIs(t *testing.T) {
	s, url := serve(t, "")
	v := &vault{steps: make(chan struct{}), stopped: make(chan error, 1)}
	s.Ready(memory{}, v, people{})
	told := make(chan [2]int64, 100)
	var once bool
	got, err := admin.NewClient(url, "", nil).Snapshot(t.Context(), "a", admin.SnapshotOptions{}, func(done, total int64) {
		told <- [2]int64{done, total}
		if !once {
			once = true
			close(v.steps)
		}
	})
	if err != nil || got.TXID != 7 {
		t.Fatalf("%+v, %v", got, err)
	}
	if first := <-told; first != [2]int64{1, 10} {
		t.Errorf("told %v", first)
	}
}

func TestAnErrorBehindProgressKeepsItsKind(t *testing.T) {
	s, url := serve(t, "")
	v := &vault{steps: make(chan struct{})}
	s.Ready(memory{}, v, people{})
	var once bool
	_, err := admin.NewClient(url, "", nil).Snapshot(t.Context(), "late", admin.SnapshotOptions{}, func(int64, int64) {
		if !once {
			once = true
			close(v.steps)
		}
	})
	if !once || !errors.Is(err, admin.ErrNotFound) || err.Error() != "the bucket is gone: no such database" {
		t.Errorf("%v, told %v", err, once)
	}
}

func TestAClientThatGoesAwayEndsTheWork(t *testing.T) {
	s, url := serve(t, "")
	v := &vault{steps: make(chan struct{}), stopped: make(chan error, 1)}
	s.Ready(memory{}, v, people{})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := admin.NewClient(url, "", nil).Snapshot(ctx, "a", admin.SnapshotOptions{}, func(int64, int64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the client: %v", err)
	}
	select {
	case err := <-v.stopped:
		if err == nil {
			t.Error("it ended without a cause")
		}
	case <-time.After(30 * time.Second):
		t.Error("the work goes on")
	}
}

func TestLinesAreForProgramsToo(t *testing.T) {
	s, url := serve(t, "")
	s.Ready(memory{}, &vault{}, people{})
	for _, c := range []struct {
		name, path, body string
		status           int
		says             string
	}{
		{"an empty body takes the defaults", "/v1/databases/a/snapshots", "", 200, `"result"`},
		{"a field that isn't known is refused", "/v1/databases/a/snapshots", `{"kin": "full"}`, 400, "kin"},
		{"what isn't JSON is refused", "/v1/databases/a/verify", `full`, 400, "bad request"},
		{"an early error has its status", "/v1/databases/none/snapshots", "", 404, "no such database"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := http.Post(url+c.path, "application/json", strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			line, err := bufio.NewReader(res.Body).ReadBytes('\n')
			if err != nil || !json.Valid(line) || res.StatusCode != c.status || !strings.Contains(string(line), c.says) {
				t.Errorf("%d %s %v", res.StatusCode, line, err)
			}
		})
	}
}
