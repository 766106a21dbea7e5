package pagevfs

import (
	"encoding/binary"

	"github.com/bop-platform/bop/modules/sqlite/internal/pagestore"
)

// descent notices that a connection goes through the children of a B-tree's inner page in order, wherever those are in the
// file, and says which come next. Pages that follow each other by number are noticed where they are fetched.
type descent struct {
	inner [4]children // the inner pages that were read last, in turn
	next  int         // where the next one goes
}

// children are those of an inner page.
type children struct {
	no    uint32
	list  []uint32
	last  int // index of the child that was read last, -1: none
	run   int // how many were read in order
	ahead int // index up to which was told
}

const (
	descentRun  = 2  // children in order that make a scan
	descentMost = 96 // that are asked for ahead
)

// read is told of a page that was read whole, and returns the pages that will be next, if that can be seen.
func (d *descent) read(no uint32, data []byte) []uint32 {
	at := 0
	if no == 1 {
		at = 100
	}
	if t := data[at]; t == 0x02 || t == 0x05 {
		d.note(no, data, at)
		return nil
	}
	for i := range d.inner {
		c := &d.inner[i]
		if k := c.find(no); k >= 0 {
			return c.step(k)
		}
	}
	return nil
}

// find looks for a child, where it is to be expected first.
func (c *children) find(no uint32) int {
	if k := c.last + 1; k < len(c.list) && c.list[k] == no {
		return k
	}
	for k, child := range c.list {
		if child == no {
			return k
		}
	}
	return -1
}

func (c *children) step(k int) []uint32 {
	if k != c.last+1 {
		c.last, c.run, c.ahead = k, 1, k
		return nil
	}
	c.last = k
	c.run++
	if c.run < descentRun {
		return nil
	}
	// As far again as it has come, and not each time.
	want := min(k+1+min(2*c.run, descentMost), len(c.list))
	from := max(c.ahead, k) + 1
	if from >= want || c.ahead-k > min(c.run, descentMost/2) {
		return nil
	}
	c.ahead = want - 1
	return c.list[from:want]
}

// note takes an inner page apart: https://www.sqlite.org/fileformat.html, section 1.6.
func (d *descent) note(no uint32, data []byte, at int) {
	for i := range d.inner {
		if d.inner[i].no == no {
			return
		}
	}
	cells := int(binary.BigEndian.Uint16(data[at+3:]))
	if at+12+2*cells > len(data) {
		return
	}
	c := &d.inner[d.next]
	d.next = (d.next + 1) % len(d.inner)
	*c = children{no: no, list: c.list[:0], last: -1, ahead: -1}
	for i := range cells {
		off := int(binary.BigEndian.Uint16(data[at+12+2*i:]))
		if off+4 > len(data) {
			c.list = c.list[:0]
			return
		}
		c.list = append(c.list, binary.BigEndian.Uint32(data[off:]))
	}
	c.list = append(c.list, binary.BigEndian.Uint32(data[at+8:])) // the right-most
}

// ahead asks for the pages that a scan will want next.
func (f *File) ahead(sn *pagestore.Snapshot, no uint32, data []byte) {
	if f.Hooks == nil || !f.Hooks.Ahead {
		return
	}
	if nos := f.descent.read(no, data); len(nos) > 0 {
		sn.Prefetch(f.Context, nos)
	}
}
