package storage

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/bucketurl"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

// OpenBucket opens a bucket to read what others have put there: a folder that isn't there is an error, and isn't made.
func OpenBucket(ctx context.Context, text string, o bucketurl.Options) (objstore.Bucket, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" && u.Scheme != "file" {
		return nil, errors.New("that is no bucket: give s3://BUCKET/PREFIX?endpoint=URL&region=R or file:///FOLDER")
	}
	if u.Scheme == "file" {
		if st, err := os.Stat(filepath.FromSlash(u.Path)); err != nil {
			return nil, fmt.Errorf("opening the bucket: %w", err)
		} else if !st.IsDir() {
			return nil, fmt.Errorf("opening the bucket: %s is no folder", u.Path)
		}
	}
	return bucketurl.OpenWith(ctx, text, o)
}

// FindBackup finds a database's part of a bucket without a server, by its name or its id: the lineage that wasn't taken over
// by another. keys may be nil.
func FindBackup(ctx context.Context, bucket objstore.Bucket, keys crypt.KeyProvider, name string) (*backup.Space, *backup.Manifest, error) {
	found, err := backup.List(ctx, bucket)
	if err != nil {
		return nil, nil, err
	}
	type place struct {
		space    *backup.Space
		manifest *backup.Manifest
	}
	newest := map[sqlite.ID]place{}
	var names []string
	var unread []error
	id, isID := ParseID(name)
	for _, f := range found {
		if f.Err != nil {
			unread = append(unread, fmt.Errorf("database %s: %w", f.Database, f.Err))
			continue
		}
		s := backup.Open(backup.Options{Bucket: bucket, Database: f.Database, Lineage: f.Lineage, Provider: keys})
		m, _, err := s.Load(ctx)
		if err != nil {
			unread = append(unread, fmt.Errorf("database %s: %w", f.Database, err))
			continue
		}
		if m.Successor != 0 {
			continue
		}
		names = append(names, fmt.Sprintf("%s (%s)", m.Name, m.Database))
		if m.Name != name && !(isID && m.Database == id) {
			continue
		}
		if had, ok := newest[m.Database]; !ok || m.Sequence > had.manifest.Sequence {
			newest[m.Database] = place{s, m}
		}
	}
	switch {
	case len(newest) == 1:
		for _, p := range newest {
			return p.space, p.manifest, nil
		}
	case len(newest) > 1:
		var ids []string
		for id, p := range newest {
			ids = append(ids, fmt.Sprintf("%s with %d transactions", id, lastOf(p.manifest)))
		}
		return nil, nil, fmt.Errorf("%s has had several databases that were called %s: give the id of one in place of the name: %s", bucket, name, strings.Join(ids, ", "))
	case len(unread) > 0:
		return nil, nil, fmt.Errorf("database %s wasn't found in %s, where %d of %d manifests couldn't be read; one of them: %w", name, bucket, len(unread), len(found), unread[0])
	case len(names) == 0:
		return nil, nil, fmt.Errorf("%w: %s holds nothing of any database: is it the one that --cold of the server says?", backup.ErrNoBackup, bucket)
	}
	return nil, nil, fmt.Errorf("%w: %s has no database %s, but these: %s", backup.ErrNoBackup, bucket, name, strings.Join(names, ", "))
}

// lastOf is the newest transaction that can be restored.
func lastOf(m *backup.Manifest) uint64 {
	list := m.Restorable()
	if len(list) == 0 {
		return 0
	}
	return uint64(list[len(list)-1].Last)
}
