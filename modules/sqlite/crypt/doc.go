// Package crypt has what an encrypted database needs of cryptography: where keys come from, the data keys of a
// database, and the sealing of everything that is written to a disk or a bucket.
//
// # Keys
//
// Each database has data keys of its own, random and numbered from 1, of which the last seals and all open. A Keyring
// holds them. It is stored wrapped, that is, encrypted by keys that a KeyProvider has and never gives away: a key file,
// an environment variable, a command, or what else has the shape of a KMS. Whoever wants a new wrapping key calls
// Rewrap, which touches nothing but the keyring; whoever wants a new data key calls Rotate, seals everything anew, and
// drops the old key by Without. What was sealed by a key that is in no keyring any more can't be read by anybody.
//
// A data key seals nothing itself. Each kind of thing has its own subkey by HKDF-SHA256, bound to the database and to
// the lineage (which a restored database has anew), so that nothing can be passed off as something else.
//
// # What seals what
//
//   - Blocks: pages, nodes, headers and small blobs, which are written over and over in any order. XAES-256-GCM.
//   - LogSealer and Keyring.OpenLog: records of a log, which are sealed once and copied everywhere as they are.
//   - ObjectWriter and Object: finished files in a bucket, in chunks that can be read by range.
//   - Scratch: temporary files, under a key that exists only in memory.
//
// All of it is AES-256-GCM. What was changed, cut, or put in another place is refused with ErrForged and never returned.
// Not found is the exchange of the whole by an older version of itself at the same place: the associated data that a
// caller gives decides what a place is.
//
// # The caller's duties
//
//  1. A new Keyring has to be durable before anything that its new key sealed is.
//  2. Associated data name the place and the version of what is sealed.
//  3. What plain and dst refer to doesn't overlap.
//
// The bytes are specified in docs/formats/crypt.md.
package crypt
