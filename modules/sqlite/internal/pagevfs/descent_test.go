package pagevfs

import (
	"encoding/binary"
	"slices"
	"testing"
)

// inner makes an inner page of a table with children.
func inner(children ...uint32) []byte {
	b := make([]byte, 512)
	b[0] = 0x05
	n := len(children) - 1
	binary.BigEndian.PutUint16(b[3:], uint16(n))
	binary.BigEndian.PutUint32(b[8:], children[n])
	for i := range n {
		off := 511 - 8*(i+1)
		binary.BigEndian.PutUint16(b[12+2*i:], uint16(off))
		binary.BigEndian.PutUint32(b[off:], children[i])
	}
	return b
}

func leaf() []byte {
	b := make([]byte, 512)
	b[0] = 0x0d
	return b
}

func TestAScanInKeyOrderIsNoticed(t *testing.T) {
	children := []uint32{40, 7, 93, 12, 55, 3, 81, 20, 66, 31, 9, 77}
	var d descent
	if got := d.read(2, inner(children...)); got != nil {
		t.Fatalf("got %v", got)
	}
	var told []uint32
	for _, no := range children {
		told = append(told, d.read(no, leaf())...)
	}
	// The first two show that it is a scan.
	if want := children[2:]; !slices.Equal(told, want) {
		t.Fatalf("told of %v, want %v", told, want)
	}
}

func TestRandomReadsAskForNothing(t *testing.T) {
	children := []uint32{40, 7, 93, 12, 55, 3, 81, 20}
	var d descent
	d.read(2, inner(children...))
	for _, i := range []int{3, 1, 6, 0, 4, 2, 7, 5, 3} {
		if got := d.read(children[i], leaf()); got != nil {
			t.Fatalf("got %v", got)
		}
	}
}

func TestBytesThatAreNoPageDoNoHarm(t *testing.T) {
	var d descent
	for seed := range 200 {
		b := make([]byte, 512)
		for i := range b {
			b[i] = byte(i*seed*7 + seed)
		}
		b[0] = 0x05
		d.read(uint32(seed+2), b)
	}
}
