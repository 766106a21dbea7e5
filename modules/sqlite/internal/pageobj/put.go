package pageobj

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// stored is what has arrived in the bucket.
type stored struct {
	size   int64
	crc    uint32
	header []byte
}

// tally counts and sums what goes into an upload.
type tally struct {
	w    io.Writer
	size int64
	crc  uint32
}

func (t *tally) Write(b []byte) (int, error) {
	n, err := t.w.Write(b)
	t.size += int64(n)
	t.crc = crc32.Update(t.crc, castagnoli, b[:n])
	return n, err
}

// put streams what write writes into an object that must not be there yet.
func put(ctx context.Context, o *WriteOptions, key string, metadata map[string]string, write func(context.Context, io.Writer) error) (stored, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	t := &tally{w: w}
	var header []byte
	made := make(chan error, 1)
	go func() {
		err := func() error {
			if o.Keys == nil {
				return write(ctx, t)
			}
			sealed, err := o.Keys.SealObject(t, o.Lineage, key)
			if err != nil {
				return fmt.Errorf("sealing: %w", err)
			}
			if err := write(ctx, sealed); err != nil {
				return err
			}
			if err := sealed.Close(); err != nil {
				return err
			}
			header = sealed.Header()
			return nil
		}()
		w.CloseWithError(err) // nil: the end
		made <- err
	}()
	info, err := objstore.Upload(ctx, o.Bucket, key, r, objstore.PutOptions{IfAbsent: true, Created: o.timestamp(), Metadata: metadata})
	exists := errors.Is(err, objstore.ErrExists)
	if exists {
		// The rest is made nevertheless: only its checksum can tell whether it is this very object that exists.
		_, _ = io.Copy(io.Discard, r)
	}
	abandoned := errors.New("the upload ended")
	r.CloseWithError(abandoned)
	if err != nil && !exists {
		cancel()
	}
	if merr := <-made; merr != nil && !errors.Is(merr, abandoned) && !errors.Is(merr, context.Canceled) {
		return stored{}, merr
	} else if merr != nil && (err == nil || exists) {
		return stored{}, errors.Join(merr, context.Cause(ctx))
	}
	switch {
	case exists:
		err = objstore.Verify(ctx, o.Bucket, key, t.size, t.crc)
		if errors.Is(err, objstore.ErrChecksum) {
			return stored{}, fmt.Errorf("%w: %s: %w", ErrTaken, key, err)
		}
		if err != nil {
			return stored{}, fmt.Errorf("comparing with the object that exists: %w", err)
		}
	case err != nil:
		return stored{}, err
	case info.Size != t.size || info.CRC32C != nil && *info.CRC32C != t.crc:
		return stored{}, fmt.Errorf("%w: %s: %d bytes were sent, and what has arrived differs: write it again under another name", objstore.ErrChecksum, key, t.size)
	}
	return stored{t.size, t.crc, header}, nil
}
