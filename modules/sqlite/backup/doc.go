// Package backup is what a bucket holds of a database: page objects, log objects, and the manifest that names them. The
// bytes are specified in docs/formats/bucket.md.
//
// # Usage
//
//	space := backup.Open(backup.Options{Bucket: bucket, Database: id, Lineage: lineage, Keys: ring})
//	w, err := space.Writer(ctx, epoch)                       // from here on writers of older epochs can do no harm
//	o, err := w.PutPages(ctx, src, nil, 0, backup.PageUpload{Level: backup.LevelFull, Min: 1, State: state, Purpose: backup.PurposeFull})
//	err = w.Commit(ctx, func(m *backup.Manifest) error { m.Add(o); return nil })
//
//	r, err := backup.Restore(ctx, space, backup.Target{Latest: true}, backup.RestoreOptions{})
//	_, err = r.WriteTo(ctx, file)
//
// # What holds
//
//   - Objects are put if absent and never changed. Only the manifest is replaced, by If-Match.
//   - An object is deleted by the holder of the fence alone, a grace after the manifest ceased to name it, and not as
//     long as a pin protects it. Its name isn't given again to other bytes before a deposed holder's last requests are
//     long over.
//   - A crash at any moment leaves the manifest as it was or as it was to be. Objects that it doesn't name are found by
//     Sweep.
//   - What a plan promises is checked when it is carried out: every page against its sum, every transaction against the
//     checksums in its record. A restored database is right, or there is an error.
//
// # The caller's duties
//
//  1. The epoch given to Space.Writer is that of a leadership: two writers never have the same at the same time.
//  2. Records given to Writer.PutLog are those that were applied, in order; a transaction isn't divided between two log
//     objects.
//  3. A node that reads pages by a manifest pins it, renews the pin before PinTTL is over, and takes a newer manifest if
//     that fails with ErrPinLost.
//  4. Lists of the bucket show pins that were put before (S3, folders and memory do so).
package backup
