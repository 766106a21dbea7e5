package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// rootKey is the one object whose name is known to who knows nothing but the bucket.
const rootKey = "system"

const maxRoot = 64 << 10

// Root says which database of a bucket is the system database: a cluster that is lost is rebuilt from there.
type Root struct {
	System  page.ID
	Lineage uint64 // of the system database
	Epoch   uint64 // of the leadership that wrote it
	Cluster string // for people
}

type rootJSON struct {
	Format  int    `json:"format"`
	System  string `json:"system"`
	Lineage string `json:"lineage"`
	Epoch   uint64 `json:"epoch"`
	Cluster string `json:"cluster,omitempty"`
}

// LoadRoot reads the bucket's root. It fails with ErrNoBackup if there is none.
func LoadRoot(ctx context.Context, bucket objstore.Bucket) (Root, error) {
	r, _, err := loadRoot(ctx, bucket)
	if err != nil {
		err = fmt.Errorf("reading %s in %s: %w", rootKey, bucket, err)
	}
	return r, err
}

func loadRoot(ctx context.Context, bucket objstore.Bucket) (Root, string, error) {
	b, info, err := get(ctx, bucket, rootKey, maxRoot)
	if errors.Is(err, objstore.ErrNotFound) {
		return Root{}, "", ErrNoBackup
	}
	if err != nil {
		return Root{}, "", err
	}
	r, err := decodeRoot(b)
	return r, info.ETag, err
}

func decodeRoot(b []byte) (Root, error) {
	var j rootJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return Root{}, damaged("%w", err)
	}
	if j.Format > 1 {
		return Root{}, fmt.Errorf("%w (format %d)", ErrNewer, j.Format)
	}
	id, err := parseID(j.System)
	if err != nil {
		return Root{}, damaged("%w", err)
	}
	lineage, err := parseLineage(j.Lineage)
	if err != nil || j.Format != 1 {
		return Root{}, damaged("its format is %d and its lineage %q", j.Format, j.Lineage)
	}
	return Root{id, lineage, j.Epoch, j.Cluster}, nil
}

func encodeRoot(r Root) ([]byte, error) {
	b, err := json.MarshalIndent(rootJSON{1, r.System.String(), lineageName(r.Lineage), r.Epoch, r.Cluster}, "", "  ")
	return append(b, '\n'), err
}

// StoreRoot replaces the bucket's root, unless one of a later leadership is there: then it fails with a *FencedError; or one
// of another system database: then with ErrForeign.
func StoreRoot(ctx context.Context, bucket objstore.Bucket, r Root) error {
	if err := storeRoot(ctx, bucket, r); err != nil {
		return fmt.Errorf("writing %s in %s: %w", rootKey, bucket, err)
	}
	return nil
}

func storeRoot(ctx context.Context, bucket objstore.Bucket, r Root) error {
	b, err := encodeRoot(r)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		found, etag, err := loadRoot(ctx, bucket)
		switch {
		case errors.Is(err, ErrNoBackup):
			etag = ""
		case err != nil:
			return err
		case found.System != r.System:
			return fmt.Errorf("%w: its system database is %s, and this one %s", ErrForeign, found.System, r.System)
		case found.Epoch > r.Epoch:
			return &FencedError{r.Epoch, found.Epoch}
		case found == r:
			return nil
		}
		_, err = put(ctx, bucket, rootKey, b, objstore.PutOptions{IfAbsent: etag == "", IfMatch: etag})
		// The next look finds out whether another one was faster, or only the answer was lost.
		again := errors.Is(err, objstore.ErrChanged) || errors.Is(err, objstore.ErrExists) || errors.Is(err, objstore.ErrUnavailable)
		if !again || attempt == swapAttempts {
			return err
		}
	}
}
