package pageobj

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/pierrec/lz4/v4"
	"github.com/superfly/ltx"
)

const (
	ltxHeaderBytes   = ltx.HeaderSize
	ltxEndBytes      = ltx.PageHeaderSize + 1 + 8 + ltx.TrailerSize // of a file without pages: end mark, empty index and its size, trailer
	frameHeaderBytes = ltx.PageHeaderSize + 4                       // page number, flags, size of what follows
	minFrameData     = 2                                            // LZ4 has nothing shorter for a page
	minFrameBytes    = frameHeaderBytes + minFrameData
	maxFrameBytes    = frameHeaderBytes + page.MaxSize + page.MaxSize/255 + 16
)

var iso = crc64.MakeTable(crc64.ISO)

// frameBound is how long the frame of a page can be.
func frameBound(size uint32) int { return frameHeaderBytes + lz4.CompressBlockBound(int(size)) }

// appendFrame compresses a page behind b, which must have room for frameBound bytes.
func appendFrame(b []byte, c *lz4.Compressor, no uint32, data []byte) ([]byte, error) {
	at := len(b)
	body := b[at+frameHeaderBytes : at+frameBound(uint32(len(data)))]
	n, err := c.CompressBlock(data, body)
	if err != nil || n == 0 {
		return nil, fmt.Errorf("compressing page %d: %w", no, errors.Join(err, errNoRoom(n)))
	}
	b = binary.BigEndian.AppendUint32(b, no)
	b = binary.BigEndian.AppendUint16(b, ltx.PageHeaderFlagSize)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	return b[:len(b)+n], nil
}

func errNoRoom(n int) error {
	if n == 0 {
		return errors.New("it doesn't fit into the room that LZ4 asks for")
	}
	return nil
}

// decodeFrame decompresses the frame of page no into dst, and checks it.
func decodeFrame(frame []byte, no uint32, sum uint64, dst []byte) error {
	if len(frame) < minFrameBytes {
		return errors.New("the frame is too short")
	}
	be := binary.BigEndian
	if n := be.Uint32(frame); n != no {
		return fmt.Errorf("there is the frame of page %d instead", n)
	}
	if f := be.Uint16(frame[4:]); f != ltx.PageHeaderFlagSize {
		return fmt.Errorf("the frame has flags %#x", f)
	}
	if n := be.Uint32(frame[6:]); uint64(n) != uint64(len(frame)-frameHeaderBytes) {
		return fmt.Errorf("the frame says that it has %d bytes, and it has %d", n, len(frame)-frameHeaderBytes)
	}
	return decompress(frame[frameHeaderBytes:], no, sum, dst)
}

// decompress fills dst with page no, and checks that its sum is the one that was written down.
func decompress(src []byte, no uint32, sum uint64, dst []byte) error {
	n, err := lz4.UncompressBlock(src, dst)
	if err != nil {
		return fmt.Errorf("it can't be decompressed: %w", err)
	}
	if n != len(dst) {
		return fmt.Errorf("it has %d bytes instead of %d", n, len(dst))
	}
	if s := page.Sum(no, dst); s != sum {
		return fmt.Errorf("its checksum is %016x instead of %016x", s, sum)
	}
	return nil
}

// inner tells whether a page is an interior page of a B-tree. There is no more to go by than its first bytes, which
// other pages have by chance too; so everything that the header says has to be possible.
func inner(no uint32, data []byte, pages uint32) bool {
	h := data
	if no == 1 {
		h = data[100:]
	}
	if h[0] != 2 && h[0] != 5 {
		return false
	}
	be := binary.BigEndian
	free, cells, content := int(be.Uint16(h[1:])), int(be.Uint16(h[3:])), int(be.Uint16(h[5:]))
	if content == 0 {
		content = page.MaxSize
	}
	begin := len(data) - len(h) + 12 + 2*cells
	right := be.Uint32(h[8:])
	if content > len(data) || begin > content || free != 0 && (free < content || free > len(data)-4) || h[7] > 60 || right == 0 || right > pages {
		return false
	}
	for i := range cells {
		if at := int(be.Uint16(h[12+2*i:])); at < content || at > len(data)-5 {
			return false
		}
	}
	return true
}
