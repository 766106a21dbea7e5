package storage

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/apps/bop/internal/target"
	"github.com/bop-platform/bop/modules/aof/objstore/bucketurl"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
)

// Backups is what a host's bucket has, as the admin API sees it.
type Backups struct {
	Host *sqlite.Host
	Keys bool // the host has a key provider
	// Of the buckets that are opened for an import.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

var _ admin.Backups = Backups{}

// Snapshot takes a snapshot.
func (b Backups) Snapshot(ctx context.Context, name string, o admin.SnapshotOptions, p admin.Progress) (admin.Snapshot, error) {
	switch o.Kind {
	case "", string(backup.PurposeFull), string(backup.PurposeIncremental), string(backup.PurposeDifferential):
	default:
		return admin.Snapshot{}, fmt.Errorf("%w: %q is no kind of snapshot: give full, incremental or differential", admin.ErrInvalid, o.Kind)
	}
	db, err := b.Host.DB(name)
	if err != nil {
		return admin.Snapshot{}, status(err)
	}
	began := time.Now()
	obj, err := db.Snapshot(ctx, sqlite.SnapshotOptions{Kind: backup.Purpose(o.Kind), Label: o.Label, Progress: sqlite.Progress(p)})
	if err != nil {
		return admin.Snapshot{}, status(err)
	}
	s := described(obj)
	s.Unchanged = obj.Created.Before(began)
	return s, nil
}

func described(o backup.Object) admin.Snapshot {
	return admin.Snapshot{ID: o.ID, Kind: string(o.Purpose), First: uint64(o.Min), TXID: uint64(o.Max), Time: time.UnixMicro(o.State.Time).UTC(),
		Created: o.Created.UTC(), Bytes: o.Size + o.Index.Size, Label: o.Label}
}

func ranges(list []backup.Range) []admin.Range {
	out := make([]admin.Range, len(list))
	for i, r := range list {
		out[i] = admin.Range{First: uint64(r.First), Last: uint64(r.Last), FirstTime: time.UnixMicro(r.FirstTime).UTC(), LastTime: time.UnixMicro(r.LastTime).UTC()}
	}
	return out
}

// Snapshots tells what the bucket has of a database.
func (b Backups) Snapshots(ctx context.Context, name string, all bool) (admin.Snapshots, error) {
	had, err := b.Host.Backups(ctx, b.of(name))
	if err != nil {
		return admin.Snapshots{}, status(err)
	}
	return listed(had, all), nil
}

// listed words what a bucket has of a database; all: also what Retention isn't about.
func listed(had *sqlite.Backups, all bool) admin.Snapshots {
	objects := had.Snapshots
	if all {
		objects = had.Manifest.Objects
	}
	list := admin.Snapshots{Name: had.Name, ID: had.Database.String(), Restorable: ranges(had.Restorable)}
	for _, o := range objects {
		list.Snapshots = append(list.Snapshots, described(o))
	}
	return list
}

// of is what a name means: that of a database, or else an id.
func (b Backups) of(name string) sqlite.BackupOf {
	if _, err := b.Host.DB(name); err == nil {
		return sqlite.BackupOf{Name: name}
	}
	if id, ok := ParseID(name); ok {
		return sqlite.BackupOf{ID: id}
	}
	return sqlite.BackupOf{Name: name}
}

// ParseID reads a database's id: 32 hexadecimal digits.
func ParseID(text string) (id sqlite.ID, ok bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(id) {
		return id, false
	}
	return sqlite.ID(raw), true
}

// options are those of a restore.
func (b Backups) options(name, to string, p admin.Progress) (sqlite.RestoreOptions, error) {
	t, err := target.Parse(to, time.UTC)
	if err != nil {
		return sqlite.RestoreOptions{}, fmt.Errorf("%w: %w", admin.ErrInvalid, err)
	}
	return sqlite.RestoreOptions{Of: b.of(name), Target: t, Progress: sqlite.Progress(p)}, nil
}

func version(r sqlite.Restored) admin.Version {
	return admin.Version{TXID: uint64(r.TXID), Time: r.Time.UTC(), Bytes: r.Bytes, PageSize: r.PageSize, Checksum: r.Checksum}
}

// Restore writes a version as an SQLite file.
func (b Backups) Restore(ctx context.Context, name, to string, begun admin.Begun, w io.Writer, found func(v admin.Version, from int64)) error {
	o, err := b.options(name, to, nil)
	if err != nil {
		return err
	}
	o.Found = func(r sqlite.Restored) int64 {
		v := version(r)
		from := begun.Of(v)
		found(v, from)
		return from
	}
	_, err = b.Host.RestoreTo(ctx, w, o)
	return status(err)
}

// RestoreInto makes a new database of a version.
func (b Backups) RestoreInto(ctx context.Context, name, to, into string, p admin.Progress) (admin.Version, error) {
	o, err := b.options(name, to, p)
	if err != nil {
		return admin.Version{}, err
	}
	_, r, err := b.Host.Restore(ctx, into, o)
	return version(r), status(err)
}

// Verify checks a database on this server, its backup, or what comes out of a restore.
func (b Backups) Verify(ctx context.Context, name string, o admin.VerifyOptions, p admin.Progress) (v admin.Verified, err error) {
	if o.Deep && !o.Backup || o.To != "" && !o.Restore {
		return v, fmt.Errorf("%w: deep is of use with backup alone, and to with restore", admin.ErrInvalid)
	}
	if !o.Backup && !o.Restore {
		db, err := b.Host.DB(name)
		if err != nil {
			return v, status(err)
		}
		v.Server = true
		return v, status(db.Verify(ctx))
	}
	ro, err := b.options(name, o.To, p)
	if err != nil {
		return v, err
	}
	if o.Backup {
		r, err := b.Host.VerifyBackup(ctx, ro.Of, o.Deep, sqlite.Progress(p))
		if err != nil {
			return v, status(err)
		}
		v.Backup = &admin.Report{Deep: r.Deep, Objects: r.Objects, Logs: r.Logs, Bytes: r.Bytes, Problems: []string{}, Restorable: ranges(r.Ranges)}
		for _, problem := range r.Problems {
			v.Backup.Problems = append(v.Backup.Problems, problem.String())
		}
	}
	if o.Restore {
		r, err := b.Host.VerifyRestore(ctx, ro)
		if err != nil {
			return v, status(err)
		}
		v.Restored = new(version(r))
	}
	return v, nil
}

// ImportLitestream makes a database of a replica of Litestream's.
func (b Backups) ImportLitestream(ctx context.Context, name string, o admin.LitestreamOptions, p admin.Progress) (v admin.Version, err error) {
	t, err := target.Parse(o.To, time.UTC)
	if err != nil {
		return v, fmt.Errorf("%w: %w", admin.ErrInvalid, err)
	}
	bucket, err := OpenBucket(ctx, o.URL, bucketurl.Options{Plain: true, MeterProvider: b.MeterProvider, TracerProvider: b.TracerProvider})
	if err != nil {
		return v, fmt.Errorf("%w: %w", admin.ErrInvalid, err)
	}
	l, err := backup.OpenLitestream(ctx, bucket)
	if err != nil {
		return v, status(err)
	}
	plan, err := l.Plan(ctx, t)
	if err != nil {
		return v, status(err)
	}
	db, err := b.Host.ImportLitestream(ctx, name, l, t, sqlite.Progress(p))
	if err != nil {
		return v, status(err)
	}
	last, info := plan[len(plan)-1], db.Info()
	return admin.Version{TXID: uint64(last.Max), Time: last.Time.UTC(), Bytes: info.Pages * int64(info.PageSize)}, nil
}

// errNoKeys: the server was started without --key-file.
var errNoKeys = errors.New("the server has no keys: make one with bop key new, and start every server of the cluster with --key-file FILE")

// Rekey changes the keys of a database, or of all. One that can't be is told of in its status.
func (b Backups) Rekey(ctx context.Context, name string, o admin.RekeyOptions, p admin.Progress) ([]admin.RekeyStatus, error) {
	switch {
	case !b.Keys:
		return nil, fmt.Errorf("%w: %w", admin.ErrInvalid, errNoKeys)
	case !o.Wrap && !o.Data:
		return nil, fmt.Errorf("%w: say which keys are changed: wrap (the data keys are wrapped by the current key of the key file), data (a new data key seals everything), or both", admin.ErrInvalid)
	case o.BytesPerSecond < 0:
		return nil, fmt.Errorf("%w: bytes_per_second is below 0", admin.ErrInvalid)
	}
	dbs, err := b.databases(name)
	if err != nil {
		return nil, err
	}
	failed := map[*sqlite.DB]string{}
	for _, db := range dbs {
		ro := sqlite.RekeyOptions{Wrap: o.Wrap, Data: o.Data, BytesPerSecond: o.BytesPerSecond}
		if name == "" && !o.Data && !db.Encrypted() {
			continue // there is nothing to wrap
		}
		if err := db.Rekey(ctx, ro); err != nil {
			if name != "" {
				return nil, status(err)
			}
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			failed[db] = err.Error()
		}
	}
	if o.Wait {
		if err := sealed(ctx, dbs, p); err != nil {
			return nil, err
		}
	}
	list := make([]admin.RekeyStatus, len(dbs))
	for i, db := range dbs {
		list[i] = b.standing(db)
		list[i].Error = failed[db]
	}
	return list, nil
}

// databases are the one of a name, or all, the system database first.
func (b Backups) databases(name string) ([]*sqlite.DB, error) {
	if name != "" {
		db, err := b.Host.DB(name)
		if err != nil {
			return nil, status(err)
		}
		return []*sqlite.DB{db}, nil
	}
	dbs := []*sqlite.DB{b.Host.System()}
	for _, info := range b.Host.Databases() {
		db, err := b.Host.DB(info.Name)
		if errors.Is(err, sqlite.ErrNoDatabase) {
			continue // it has just been dropped
		}
		if err != nil {
			return nil, status(err)
		}
		dbs = append(dbs, db)
	}
	return dbs, nil
}

// sealed waits until all pages of databases are sealed by their newest keys on this server.
func sealed(ctx context.Context, dbs []*sqlite.DB, p admin.Progress) error {
	for {
		running := false
		var done, total int64
		for _, db := range dbs {
			s := db.RekeyStatus()
			running = running || s.Running && db.Err() == nil
			done, total = done+s.Done, total+s.Total
		}
		if p != nil {
			p(done, total)
		}
		if !running {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(sealedPace):
		}
	}
}

// sealedPace is the time between two looks.
const sealedPace = 50 * time.Millisecond

// RekeyStatus tells by what databases are sealed here.
func (b Backups) RekeyStatus(_ context.Context, name string) ([]admin.RekeyStatus, error) {
	dbs, err := b.databases(name)
	if err != nil {
		return nil, err
	}
	list := make([]admin.RekeyStatus, len(dbs))
	for i, db := range dbs {
		list[i] = b.standing(db)
	}
	return list, nil
}

func (b Backups) standing(db *sqlite.DB) admin.RekeyStatus {
	s := db.RekeyStatus()
	out := admin.RekeyStatus{Name: db.Name(), System: db == b.Host.System(), Encrypted: s.Encrypted, Running: s.Running, Done: s.Done, Total: s.Total, Stale: s.Stale}
	for _, k := range s.Keys {
		out.Keys = append(out.Keys, admin.Key{ID: k.ID, Created: k.Created.UTC(), WrappedBy: k.WrappedBy, Current: k.Current})
	}
	return out
}
