// Package pagefile keeps one committed version of a database on disk, and replaces it by the next one without ever
// touching what the current one stands on.
//
// A page file is an array of slots of one page each. A tree of nodes, which live in slots like pages, maps page numbers
// to slots and carries a checksum for each. Two headers, written in turn, name a root. A checkpoint writes changed pages
// and nodes into free slots, syncs, writes the older header, syncs again: after a crash at any point one of the headers
// names a tree of which every slot is intact.
//
// A slot is reused only when neither header names a tree that holds it and no open snapshot reads such a tree. So even
// the loss of the newer header loses nothing, as long as the log still has what came after the older one; Covered says
// from where the log is needed.
//
// Pages that a bucket serves too may leave the file (see Bucket): their entries, or those of whole nodes, say so in place
// of a slot. What is read of them from the bucket is checked against the entry's checksum, and put into the file again by
// the next checkpoint.
//
// With keys every slot and the headers are sealed; see Seal.
//
// The bytes are specified in docs/formats/pagefile.md.
package pagefile
