package crypt

import "encoding/binary"

// AppendChunk appends one chunk of an object to dst, out of turn: the i-th, of ObjectChunk bytes but for the last. It is for
// content that can be read again from any place, such as a snapshot: the same chunk always becomes the same bytes, and a
// chunk must never be sealed with other content. It writes nothing to the writer below.
func (w *ObjectWriter) AppendChunk(dst, plain []byte, i int64, last bool) []byte {
	var nonce [nonceBytes]byte
	objectNonce(&nonce, i, last)
	return w.aead.Seal(dst, nonce[:], plain, w.associated)
}

// ObjectKey is the number of the data key that an object with this header is sealed by, 0 if it is no header.
func ObjectKey(header []byte) uint32 {
	if len(header) < ObjectHeaderBytes {
		return 0
	}
	return binary.LittleEndian.Uint32(header[12:])
}
