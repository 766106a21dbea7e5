package record

import "encoding/binary"

// A delta is a list of (equal bytes to skip, changed bytes n, the n bytes), ended by n = 0.

// gap is how many equal bytes end a range: naming a new range costs two to four bytes.
const gap = 8

func appendDelta(dst, data, base []byte) []byte {
	last, i, n := 0, 0, len(data)
	for i < n {
		// Whole words first: most of a page has not changed.
		if i+8 <= n && binary.LittleEndian.Uint64(data[i:]) == binary.LittleEndian.Uint64(base[i:]) {
			i += 8
			continue
		}
		if data[i] == base[i] {
			i++
			continue
		}
		start, end := i, i+1
		for j := end; j < n && j-end < gap; j++ {
			if data[j] != base[j] {
				end = j + 1
			}
		}
		dst = binary.AppendUvarint(dst, uint64(start-last))
		dst = binary.AppendUvarint(dst, uint64(end-start))
		dst = append(dst, data[start:end]...)
		last, i = end, end
	}
	return append(dst, 0, 0)
}

func skipDelta(in *reader, size uint32) bool {
	at := uint64(0)
	for {
		skip, n := in.uvarint(), in.uvarint()
		if in.bad || skip > uint64(size) || n > uint64(size) || at+skip+n > uint64(size) || n > uint64(len(in.b)) {
			return false
		}
		if n == 0 {
			return skip == 0
		}
		at += skip + n
		in.b = in.b[n:]
	}
}

// Apply turns dst, which holds the page before the transaction, into the page after it. dst must be one page.
func (d Delta) Apply(dst []byte) {
	in := reader{b: d.b}
	for at := uint64(0); ; {
		skip, n := in.uvarint(), in.uvarint()
		if n == 0 || in.bad {
			return
		}
		at += skip
		copy(dst[at:], in.b[:n])
		in.b = in.b[n:]
		at += n
	}
}
