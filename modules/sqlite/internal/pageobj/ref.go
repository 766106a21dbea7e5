package pageobj

import (
	"fmt"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// Ref names a page object and its index. Whoever has it needs no list and no request to find them.
type Ref struct {
	Key     string     `json:"key"`              // of the LTX object, in the bucket
	Size    int64      `json:"size"`             // bytes in the bucket
	CRC     uint32     `json:"crc"`              // CRC32C of those bytes
	Header  []byte     `json:"header,omitempty"` // crypt's object header if it is sealed, else nil
	Level   int        `json:"level"`            // LTX level
	Min     page.TXID  `json:"min"`              // transactions that it has the pages of,
	Max     page.TXID  `json:"max"`              // the first and the last
	State   page.State `json:"state"`            // of the database after Max
	Pages   uint32     `json:"pages"`            // how many pages it holds
	Index   IndexRef   `json:"index"`
	Lineage uint64     `json:"lineage"` // that it was written under; sealing binds it
}

// IndexRef names the index of a page object. The offsets count bytes of the plaintext.
type IndexRef struct {
	Key     string `json:"key"`
	Size    int64  `json:"size"`             // bytes in the bucket
	CRC     uint32 `json:"crc"`              // CRC32C of those bytes
	Header  []byte `json:"header,omitempty"` // crypt's object header if it is sealed, else nil
	Head    int64  `json:"head"`             // what is read first begins here and ends with the index: the whole index if it is small, else the first pack and the root
	RootOff int64  `json:"root"`
	RootLen int64  `json:"rootlen"`
}

// check refuses references that Write can't have made.
func (r *Ref) check() error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("the reference to %s can't be used: %s: take it from an intact manifest", r.Key, fmt.Sprintf(format, a...))
	}
	i := &r.Index
	switch {
	case r.Key == "" || i.Key == "":
		return bad("it names no object")
	case r.Min == 0 || r.Min > r.Max || r.Max != r.State.TXID:
		return bad("it is said to hold transactions %d to %d at %d", r.Min, r.Max, r.State.TXID)
	case !page.ValidSize(r.State.Size) || r.State.Pages == 0 || r.Pages > r.State.Pages:
		return bad("it is said to have %d of %d pages of %d bytes", r.Pages, r.State.Pages, r.State.Size)
	case (r.Header == nil) != (i.Header == nil):
		return bad("one of object and index is sealed, and the other isn't")
	case r.Size <= 0 || i.Size <= 0 || i.RootOff < indexHeaderBytes || i.RootLen < rootHeaderBytes+crcBytes || i.RootLen > maxRootBytes ||
		i.RootOff > i.Size || i.RootOff+i.RootLen > i.Size || i.Head < 0 || i.Head > i.RootOff || i.RootOff-i.Head > maxHeadBytes:
		return bad("sizes and offsets don't fit together")
	}
	return nil
}

// Source is a version of a database that can be read.
type Source interface {
	// Page returns page no and its page.Sum. It may use buf, which is a page long. data is valid until the next call.
	Page(no uint32, buf []byte) (data []byte, sum uint64, err error)
}
