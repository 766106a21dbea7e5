// Package crashfs is a file system in memory that behaves as badly as disks are allowed to: what was not synced can be
// lost, torn or reordered when it crashes, names included; fsync can fail; space can end.
//
// # Usage
//
// Run a workload once to count its operations, then again for each of them:
//
//	for n := 1; ; n++ {
//		disk := crashfs.New()
//		disk.CrashAt(n)
//		workload(disk)            // fails with ErrCrashed at the n-th operation
//		if !disk.Crashed() {
//			break                 // the workload has fewer operations
//		}
//		for image := range disk.Images(3) {
//			check(image)          // a disk as it may look after the crash
//		}
//	}
//
// # What survives
//
// Sync makes a file's bytes and length durable, SyncDir a folder's names. Everything since then may survive or not, at
// the granularity of a sector (512 bytes): see Mode. A file whose name was never synced disappears,
// as POSIX allows. A sector is as the cache held it at some moment. After a failed Sync the bytes that it should have
// saved are still read back, but a later Sync saves them only where their sector was written again: so does Linux.
//
// # Concurrency
//
// All methods may be called by several goroutines; operations are counted in the order in which they take effect.
package crashfs
