package zframe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The format, version 1. All integers are little-endian.
const (
	version = 1

	skippableSummary = 0x184D2A5B // magic number of the skippable frame that is ours
	skippableSeek    = 0x184D2A5E // that of the seek table, by zstd's contrib/seekable_format
	seekMagic        = 0x8F92EAB1

	frameHead    = 8 // magic number and length of a skippable frame
	seekEntry    = 12
	seekFoot     = 9
	seekChecksum = 1 << 7

	summaryFixed = 40 // before the frames' entries
	summaryEntry = 8
	summaryFoot  = 8 // length of the summary, checksum

	minFrame   = 1 << 10
	maxFrame   = 16 << 20
	minSummary = frameHead + summaryFixed + summaryFoot
	maxSummary = 64 << 20
)

var summaryMagic = [8]byte{'B', 'O', 'P', 'Z', 'F', 'R', 'S', 'M'}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crc(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// ErrNewer: a newer program wrote the file.
var ErrNewer = errors.New("zframe: written by a newer format")

// CorruptError tells where a file isn't as it was written.
type CorruptError struct {
	Region string // "frame 12", "summary", "seek table"
	Offset int64  // of the region in the file
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("zframe: %s at offset %d: %s", e.Region, e.Offset, e.Reason)
}

// Summary describes a file.
type Summary struct {
	Size       int64  // of the original
	FrameBytes int    // of the original in each frame; the last has fewer
	File       int64  // bytes of the file
	CRC32C     uint32 // of the whole file; 0 unless Write or Verify made the summary
	Meta       []byte // the caller's

	frames []frame
	at     int64 // offset of the summary: the end of the frames
}

type frame struct {
	off int64
	len uint32
	crc uint32 // of the compressed bytes
}

// Frames is how many there are.
func (s *Summary) Frames() int { return len(s.frames) }

// Frame is the number of the frame that has the original's offset off.
func (s *Summary) Frame(off int64) int { return int(off / int64(s.FrameBytes)) }

// Range is where frames i to j (not included) are in the file.
func (s *Summary) Range(i, j int) (off, n int64) {
	off, end := s.frames[i].off, s.at
	if j < len(s.frames) {
		end = s.frames[j].off
	}
	return off, end - off
}

// summaryBytes is the length of a summary of n frames and so many bytes of the caller's.
func summaryBytes(n int64, meta int) int64 { return minSummary + summaryEntry*n + int64(meta) }

// plain is the length of frame i's content.
func (s *Summary) plain(i int) int {
	return int(min(int64(s.FrameBytes), s.Size-int64(i)*int64(s.FrameBytes)))
}

func (s *Summary) encode() []byte {
	size := int(summaryBytes(int64(len(s.frames)), len(s.Meta)))
	b := make([]byte, 0, size)
	b = binary.LittleEndian.AppendUint32(b, skippableSummary)
	b = binary.LittleEndian.AppendUint32(b, uint32(size-frameHead))
	b = append(b, summaryMagic[:]...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, uint32(s.FrameBytes))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.Size))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.at))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s.frames)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s.Meta)))
	for _, f := range s.frames {
		b = binary.LittleEndian.AppendUint32(b, f.len)
		b = binary.LittleEndian.AppendUint32(b, f.crc)
	}
	b = append(b, s.Meta...)
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	return binary.LittleEndian.AppendUint32(b, crc(b))
}

// decodeSummary reads what encode made.
func decodeSummary(b []byte, at int64) (*Summary, error) {
	bad := func(reason string) (*Summary, error) {
		return nil, &CorruptError{"summary", at, reason}
	}
	if len(b) < minSummary {
		return bad("too short")
	}
	if crc(b[:len(b)-4]) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return bad("checksum mismatch")
	}
	if binary.LittleEndian.Uint32(b) != skippableSummary || int(binary.LittleEndian.Uint32(b[4:])) != len(b)-frameHead || [8]byte(b[8:16]) != summaryMagic {
		return bad("it doesn't begin as one")
	}
	if v := binary.LittleEndian.Uint32(b[16:]); v > version {
		return nil, fmt.Errorf("%w: %d, this program reads up to %d", ErrNewer, v, version)
	}
	s := &Summary{
		FrameBytes: int(binary.LittleEndian.Uint32(b[20:])),
		Size:       int64(binary.LittleEndian.Uint64(b[24:])),
		at:         int64(binary.LittleEndian.Uint64(b[32:])),
	}
	n, meta := int64(binary.LittleEndian.Uint32(b[40:])), int64(binary.LittleEndian.Uint32(b[44:]))
	if s.FrameBytes < minFrame || s.FrameBytes > maxFrame || s.Size < 0 || s.at != at ||
		n != (s.Size+int64(s.FrameBytes)-1)/int64(s.FrameBytes) ||
		int64(len(b)) != frameHead+summaryFixed+summaryEntry*n+meta+summaryFoot {
		return bad("the numbers in it don't fit together")
	}
	s.frames = make([]frame, n)
	p, off := b[frameHead+summaryFixed:], int64(0)
	for i := range s.frames {
		s.frames[i] = frame{off, binary.LittleEndian.Uint32(p), binary.LittleEndian.Uint32(p[4:])}
		off += int64(s.frames[i].len)
		p = p[summaryEntry:]
	}
	if off != at {
		return bad("the frames' lengths don't add up")
	}
	s.Meta = append([]byte(nil), p[:meta]...)
	return s, nil
}

// encodeSeekTable makes the table of zstd's seekable format. It has an entry for each frame, and one without content
// for the summary, which such readers count as a frame.
func encodeSeekTable(s *Summary, sums []uint32, summary int) []byte {
	n := len(s.frames) + 1
	size := seekEntry*n + seekFoot
	b := make([]byte, 0, frameHead+size)
	b = binary.LittleEndian.AppendUint32(b, skippableSeek)
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	for i, f := range s.frames {
		b = binary.LittleEndian.AppendUint32(b, f.len)
		b = binary.LittleEndian.AppendUint32(b, uint32(s.plain(i)))
		b = binary.LittleEndian.AppendUint32(b, sums[i])
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(summary))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	b = append(b, seekChecksum)
	return binary.LittleEndian.AppendUint32(b, seekMagic)
}

// tail is how much of a file's end ReadSummary reads at first.
const tail = 64 << 10

// ReadSummary reads the summary of a file of so many bytes: in one read if it and the seek table fit in 64 KiB, else in
// two, since the seek table's last entry, which the first read has, tells how long the summary is. Only where that entry
// is damaged it takes a third. Errors: *CorruptError, ErrNewer, and those of r.
func ReadSummary(r io.ReaderAt, file int64) (*Summary, error) {
	if file < minSummary+frameHead+seekEntry+seekFoot {
		return nil, &CorruptError{"file", 0, fmt.Sprintf("%d bytes are too few for a summary and a seek table", file)}
	}
	p := part{r: r}
	n := min(file, tail)
	b, err := p.at(file-n, n)
	if err != nil {
		return nil, err
	}
	seek, summary, err := seekTableEnd(b, file)
	if err != nil {
		return nil, err
	}
	end := file - seek // of the summary
	if summary >= minSummary && summary <= min(end, maxSummary) {
		if _, err := p.at(end-summary, summary+frameHead); err != nil {
			return nil, err
		}
	}
	if b, err = p.at(end, frameHead); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint32(b) != skippableSeek || int64(binary.LittleEndian.Uint32(b[4:])) != seek-frameHead {
		return nil, &CorruptError{"seek table", end, "it doesn't begin as its end says"}
	}
	if b, err = p.at(end-summaryFoot, summaryFoot); err != nil {
		return nil, err
	}
	size := int64(binary.LittleEndian.Uint32(b))
	if size < minSummary || size > min(end, maxSummary) {
		return nil, &CorruptError{"summary", end - summaryFoot, "the length at its end is wrong"}
	}
	if b, err = p.at(end-size, size); err != nil {
		return nil, err
	}
	s, err := decodeSummary(b, end-size)
	if err != nil {
		return nil, err
	}
	s.File = file
	return s, nil
}

// seekTableEnd tells how long the seek table at the end of a file is, whose last bytes are b, and how long the summary
// before it, by the table's last entry.
func seekTableEnd(b []byte, file int64) (seek, summary int64, err error) {
	bad := func(reason string) (int64, int64, error) {
		return 0, 0, &CorruptError{"seek table", file - seekFoot, reason}
	}
	foot := b[len(b)-seekFoot:]
	if binary.LittleEndian.Uint32(foot[5:]) != seekMagic {
		return bad("the file doesn't end in one")
	}
	if foot[4] != seekChecksum {
		return bad("its flags are unknown")
	}
	n := int64(binary.LittleEndian.Uint32(foot))
	seek = frameHead + seekEntry*n + seekFoot
	if n == 0 || seek > file-minSummary {
		return bad("the number of its entries is wrong")
	}
	return seek, int64(binary.LittleEndian.Uint32(b[len(b)-seekFoot-seekEntry:])), nil
}

// part is what was read last of a file.
type part struct {
	r   io.ReaderAt
	off int64
	b   []byte
}

// at returns the n bytes at off, and reads them if they aren't there.
func (p *part) at(off, n int64) ([]byte, error) {
	if off < p.off || off+n > p.off+int64(len(p.b)) {
		b := make([]byte, n)
		if err := readFull(p.r, b, off); err != nil {
			return nil, err
		}
		p.off, p.b = off, b
	}
	return p.b[off-p.off:][:n], nil
}

// readFull reads all of b.
func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		return &CorruptError{"file", off + int64(n), "it ends too early"}
	}
	return err
}
