package storage

import (
	"context"
	"errors"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/apps/bop/internal/cluster"
)

// Cluster is a cluster as the admin API sees it.
type Cluster struct{ *cluster.Cluster }

var _ admin.Cluster = Cluster{}

// Status describes the cluster.
func (c Cluster) Status(ctx context.Context) any { return c.Cluster.Status(ctx) }

// Promote makes a learner a voter.
func (c Cluster) Promote(ctx context.Context, name string) error {
	return named(c.Cluster.Promote(ctx, name))
}

// Remove takes a node out.
func (c Cluster) Remove(ctx context.Context, name string) error {
	return named(c.Cluster.Remove(ctx, name))
}

// Transfer hands leadership over.
func (c Cluster) Transfer(ctx context.Context, to string) error {
	return named(c.Cluster.Transfer(ctx, to))
}

func named(err error) error {
	if errors.Is(err, cluster.ErrUnknownNode) {
		return unknown{err}
	}
	return err
}

// unknown is an error about a node that there isn't, in its own words.
type unknown struct{ error }

// Is makes errors.Is(err, admin.ErrNotFound) hold.
func (unknown) Is(target error) bool { return target == admin.ErrNotFound }

// Unwrap returns the cluster's error.
func (u unknown) Unwrap() error { return u.error }
