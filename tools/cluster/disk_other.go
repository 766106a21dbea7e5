//go:build !linux

package main

import "errors"

// disks are none: small disks are made on Linux alone.
type disks struct{}

func mountDisks(r *run) (*disks, error) {
	if r.has("disk") {
		r.without("disk", "small disks are made on Linux alone")
	}
	return &disks{}, nil
}

func (*disks) fill(*node) error { return errors.ErrUnsupported }

func (*disks) free(*node) error { return errors.ErrUnsupported }

func (*disks) close(*servers, bool) error { return nil }
