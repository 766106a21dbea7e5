package objstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Dir is a bucket in a folder: a network share, or a disk to try things on. An object is a file with a trailer of 16
// bytes: its CRC32C, a random number that makes the ETag, and a magic number. Conditions hold between processes, by a
// lock on the file ".lock". An object's Created is its file's modification time; Metadata isn't kept.
//
// A plain one, of OpenPlainDir, has files that are the objects and nothing else.
type Dir struct {
	root  string
	plain bool
}

const (
	dirTrailer = 16
	dirTemp    = ".tmp-"
	dirLock    = ".lock"
)

var dirMagic = [4]byte{'B', 'O', 'P', 'O'}

// OpenDir opens the bucket in a folder, which is made if it isn't there (0700).
func OpenDir(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("objstore: making the folder: %w", err)
	}
	return &Dir{root: path}, nil
}

// OpenPlainDir opens a folder whose files are the objects byte for byte, for other programs to read and to have written:
// a Litestream replica is one. There is no trailer, so a file that was cut short isn't found out here, Head and List tell
// no CRC32C, and an object's ETag is its file's time, length and number. Folders of OpenDir and of OpenPlainDir aren't
// each other's.
func OpenPlainDir(path string) (*Dir, error) {
	d, err := OpenDir(path)
	if err != nil {
		return nil, err
	}
	d.plain = true
	return d, nil
}

func (d *Dir) String() string { return "file://" + d.root }

func (d *Dir) fail(op, key string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		err = ErrNotFound
	} else if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return &Error{op, d.String(), key, err}
}

func (d *Dir) path(key string) string { return filepath.Join(d.root, filepath.FromSlash(key)) }

// check refuses keys that can't be files here: those that look like the bucket's own.
func (d *Dir) check(key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if key == dirLock || strings.HasPrefix(filepath.Base(key), dirTemp) {
		return fmt.Errorf("%w: %q is used by the folder itself", ErrKey, key)
	}
	return nil
}

// Put implements Bucket.
func (d *Dir) Put(ctx context.Context, key string, body io.ReaderAt, size int64, o PutOptions) (Info, error) {
	src := &source{ctx: ctx, r: io.NewSectionReader(body, 0, size)}
	info, err := d.put(key, src, size, o)
	if err != nil {
		return Info{}, d.fail("put", key, err)
	}
	return info, nil
}

// Upload implements Uploader.
func (d *Dir) Upload(ctx context.Context, key string, r io.Reader, o PutOptions) (Info, error) {
	src := &source{ctx: ctx, r: r}
	info, err := d.put(key, src, -1, o)
	switch {
	case src.err != nil:
		return Info{}, &Error{"upload", d.String(), key, src.err}
	case err != nil:
		return Info{}, d.fail("upload", key, err)
	}
	return info, nil
}

// put writes an object of size bytes, or, if size is negative, of those that come.
func (d *Dir) put(key string, src *source, size int64, o PutOptions) (info Info, err error) {
	if err := errors.Join(d.check(key), CheckMetadata(o.Metadata)); err != nil {
		return info, err
	}
	path := d.path(key)
	if err := d.folder(filepath.Dir(path)); err != nil {
		return info, err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), dirTemp+"*")
	if err != nil {
		return info, err
	}
	defer func() {
		err = errors.Join(err, temp.Close())
		if err != nil {
			os.Remove(temp.Name())
		}
	}()
	if _, err := io.Copy(temp, src); err != nil {
		return info, err
	}
	if size >= 0 && src.n != size {
		return info, io.ErrUnexpectedEOF
	}
	if err := src.check(o); err != nil {
		return info, err
	}
	if err := d.finish(temp, src.sum, o.Created); err != nil {
		return info, err
	}
	if err := temp.Sync(); err != nil {
		return info, err
	}
	unlock, err := d.lock()
	if err != nil {
		return info, err
	}
	defer unlock()
	old, err := d.head(key)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return info, err
	case o.IfAbsent && err == nil:
		return info, ErrExists
	case o.IfMatch != "" && (err != nil || old.ETag != o.IfMatch):
		return info, ErrChanged
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return info, err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return info, err
	}
	info, err = d.head(key)
	info.CRC32C = &src.sum
	return info, err
}

// finish gives a file its trailer and its time.
func (d *Dir) finish(f *os.File, sum uint32, created time.Time) error {
	if !d.plain {
		trailer := binary.LittleEndian.AppendUint32(nil, sum)
		trailer = append(trailer, random8()...)
		if _, err := f.Write(append(trailer, dirMagic[:]...)); err != nil {
			return err
		}
	}
	if created.IsZero() && d.plain {
		created = time.Now() // more exact than the kernel's own, as the ETag needs it
	}
	if created.IsZero() {
		return nil
	}
	return os.Chtimes(f.Name(), created, created)
}

// folder makes the folders above a file, durably.
func (d *Dir) folder(path string) error {
	if _, err := os.Stat(path); err == nil || path == d.root {
		return err
	}
	if err := d.folder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *Dir) open(key string) (*os.File, Info, error) {
	if err := d.check(key); err != nil {
		return nil, Info{}, err
	}
	f, err := os.Open(d.path(key))
	if err != nil {
		return nil, Info{}, err
	}
	info, err := d.describe(f, key)
	if err != nil {
		return nil, Info{}, errors.Join(err, f.Close())
	}
	return f, info, nil
}

func (d *Dir) describe(f *os.File, key string) (Info, error) {
	st, err := f.Stat()
	if err != nil {
		return Info{}, err
	}
	if st.IsDir() {
		return Info{}, fs.ErrNotExist
	}
	if d.plain {
		etag := fmt.Sprintf("%x-%x-%x", st.ModTime().UnixNano(), st.Size(), inode(st))
		return Info{Key: key, Size: st.Size(), ETag: etag, Modified: st.ModTime()}, nil
	}
	var b [dirTrailer]byte
	size := st.Size() - dirTrailer
	if size < 0 {
		return Info{}, fmt.Errorf("%w: the file has no trailer", ErrChecksum)
	}
	if _, err := f.ReadAt(b[:], size); err != nil {
		return Info{}, err
	}
	if [4]byte(b[12:]) != dirMagic {
		return Info{}, fmt.Errorf("%w: the file has no trailer", ErrChecksum)
	}
	sum := binary.LittleEndian.Uint32(b[:])
	return Info{Key: key, Size: size, ETag: fmt.Sprintf("%x", b[4:12]), Modified: st.ModTime(), CRC32C: &sum}, nil
}

func (d *Dir) head(key string) (Info, error) {
	f, info, err := d.open(key)
	if err != nil {
		return info, err
	}
	return info, f.Close()
}

// Get implements Bucket.
func (d *Dir) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, Info{}, d.fail("get", key, err)
	}
	f, info, err := d.open(key)
	if err != nil {
		return nil, info, d.fail("get", key, err)
	}
	if n, err = bounds(info.Size, off, n); err != nil {
		f.Close()
		return nil, info, d.fail("get", key, err)
	}
	return &fileBody{contextReader{ctx, io.NewSectionReader(f, off, n)}, f}, info, nil
}

type fileBody struct {
	contextReader
	f *os.File
}

func (b *fileBody) Close() error { return b.f.Close() }

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// Head implements Bucket.
func (d *Dir) Head(ctx context.Context, key string) (Info, error) {
	info, err := d.head(key)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return Info{}, d.fail("head", key, err)
	}
	return info, nil
}

// List implements Bucket.
func (d *Dir) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		var keys []string
		err := filepath.WalkDir(d.root, func(path string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // deleted meanwhile
			}
			if err != nil || e.IsDir() {
				return err
			}
			key := filepath.ToSlash(strings.TrimPrefix(path, d.root+string(filepath.Separator)))
			if d.check(key) == nil && strings.HasPrefix(key, prefix) && key > after {
				keys = append(keys, key)
			}
			return nil
		})
		slices.Sort(keys)
		for _, key := range keys {
			var info Info
			if err = ctx.Err(); err == nil {
				info, err = d.head(key)
			}
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
				continue
			}
			if err != nil {
				break
			}
			if !yield(info, nil) {
				return
			}
		}
		if err != nil {
			yield(Info{}, d.fail("list", prefix, err))
		}
	}
}

// Delete implements Bucket.
func (d *Dir) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		err := ctx.Err()
		if err == nil {
			err = d.check(key)
		}
		if err == nil {
			if err = os.Remove(d.path(key)); err == nil {
				err = syncDir(filepath.Dir(d.path(key)))
			} else if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		}
		if err != nil {
			return d.fail("delete", key, err)
		}
	}
	return nil
}
