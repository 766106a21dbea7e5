// Package pageobj keeps the pages of a database in a bucket: it writes objects of pages, and reads single pages out of a
// chain of such objects by range requests.
//
// A page object is a file in LTX format, which other programs read too. Beside each lies an index of our own: it is read
// in blocks, so that opening a database takes as many requests for a large one as for a small one; it has a checksum
// for each page, so that no page is returned that isn't the one that was written; and it has copies of the inner pages of
// all B-trees side by side, so that one request brings hundreds of them.
//
// Write makes an object and its index, both streamed. View reads a version of a database. Verify checks an object.
//
// The bytes are specified in docs/formats/pageobject.md.
package pageobj
