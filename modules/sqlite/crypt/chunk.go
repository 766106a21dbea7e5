package crypt

// AppendChunk appends one chunk of an object to dst, out of turn: the i-th, of ObjectChunk bytes but for the last. It is for
// content that can be read again from any place, such as a snapshot: the same chunk always becomes the same bytes, and a
// chunk must never be sealed with other content. It writes nothing to the writer below.
func (w *ObjectWriter) AppendChunk(dst, plain []byte, i int64, last bool) []byte {
	var nonce [nonceBytes]byte
	objectNonce(&nonce, i, last)
	return w.aead.Seal(dst, nonce[:], plain, w.associated)
}
