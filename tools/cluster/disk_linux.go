package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// diskSize bounds a node's data, in bytes.
const diskSize = 1 << 30

// disks are the file systems in memory that the nodes' data folders are on when disks are to be full now and then.
type disks struct{ mounted []*node }

// mountDisks gives each node a disk of its own. Where that isn't permitted, no disk will be full.
func mountDisks(r *run) (*disks, error) {
	d := &disks{}
	if !r.has("disk") {
		return d, nil
	}
	for _, n := range r.servers.nodes {
		err := syscall.Mount("tmpfs", n.dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", diskSize))
		if errors.Is(err, syscall.EPERM) && len(d.mounted) == 0 {
			r.without("disk", "mounting a small disk takes root: "+err.Error())
			return d, nil
		}
		if err != nil {
			return d, errors.Join(fmt.Errorf("mounting a disk for %s: %w", n.name, err), d.close(r.servers, false))
		}
		d.mounted = append(d.mounted, n)
	}
	return d, nil
}

func filler(n *node) string { return filepath.Join(n.dir, "filler") }

// fill takes all space that is left.
func (d *disks) fill(n *node) error {
	f, err := os.Create(filler(n))
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2] // the last bytes too
		} else if err != nil {
			return err
		}
	}
	return nil
}

// free gives the space back.
func (d *disks) free(n *node) error { return os.Remove(filler(n)) }

// close unmounts the disks of the nodes, which are ended first. What is to be kept is copied out.
func (d *disks) close(s *servers, keep bool) error {
	s.close()
	var errs []error
	for _, n := range d.mounted {
		os.Remove(filler(n))
		aside := n.dir + ".kept"
		if keep {
			errs = append(errs, os.CopyFS(aside, os.DirFS(n.dir)))
		}
		if err := syscall.Unmount(n.dir, 0); err != nil {
			errs = append(errs, fmt.Errorf("unmounting %s: %w", n.dir, err))
			continue
		}
		if keep {
			errs = append(errs, os.Remove(n.dir), os.Rename(aside, n.dir))
		}
	}
	d.mounted = nil
	return errors.Join(errs...)
}
