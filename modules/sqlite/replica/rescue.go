package replica

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/seglog"
	"github.com/bop-platform/bop/modules/sqlite"
)

// Rescue makes the folder of a server that isn't running a cluster of its own, for when a majority of its cluster is lost
// for good: see seglog.Segments.Rescue. Of o it needs Dir, Node and System.
func Rescue(ctx context.Context, o Options) (_ raft.Position, err error) {
	store, err := seglog.OpenStore(filepath.Join(o.Dir, "log"), seglog.StoreOptions{AOF: o.Parent})
	if err != nil {
		return raft.Position{}, newer(err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	segments, err := seglog.OpenSegments(ctx, seglog.SegmentsOptions{
		Dir: filepath.Join(o.Dir, "segments"), Store: store, Group: Group, Self: o.Node, LegacyTerm: sqlite.RecordEpoch, Logger: o.Logger, System: o.System,
	})
	if err != nil {
		return raft.Position{}, newer(err)
	}
	defer func() { err = errors.Join(err, segments.Close()) }()
	return segments.Rescue(ctx)
}
