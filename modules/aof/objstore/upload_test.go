package objstore_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/faulty"
	"github.com/bop-platform/bop/modules/aof/objstore/objtest"
)

// foreign is a bucket that is no Uploader.
type foreign struct{ objstore.Bucket }

func TestABucketWithoutUploadsGetsThemFromAFile(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	objtest.Run(t, func(*testing.T) objstore.Bucket { return foreign{objstore.NewMemory()} }, objtest.Options{Many: 100})
	t.Run("which is gone then", func(t *testing.T) {
		left, err := filepath.Glob(filepath.Join(folder, "bop-upload-*"))
		if err != nil || len(left) != 0 {
			t.Error(left, err)
		}
	})
	t.Run("and its put is repeated, whatever is around the bucket", func(t *testing.T) {
		f := faulty.New(objstore.NewMemory(), failing(2, faulty.Fault{Before: objstore.ErrUnavailable}))
		inner, _ := instrument(t, objstore.Prefix(foreign{f}, "p"))
		if _, err := uploadOnce(t, objstore.Retry(inner, quick), objstore.PutOptions{}); err != nil || f.Count("put") != 3 {
			t.Error(err, f.Count("put"))
		}
	})
}

var quick = objstore.RetryOptions{Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}

// uploadOnce uploads a body that can't be read again.
func uploadOnce(t *testing.T, b objstore.Bucket, o objstore.PutOptions) (objstore.Info, error) {
	t.Helper()
	return objstore.Upload(t.Context(), b, "x", io.MultiReader(strings.NewReader("con"), strings.NewReader("tent")), o)
}

func TestRetriedUploads(t *testing.T) {
	lost := failing(1, faulty.Fault{After: objstore.ErrUnavailable})
	t.Run("what fails before the body is read is repeated", func(t *testing.T) {
		f := faulty.New(objstore.NewMemory(), failing(3, faulty.Fault{Before: objstore.ErrUnavailable}))
		if _, err := uploadOnce(t, objstore.Retry(f, quick), objstore.PutOptions{}); err != nil || f.Count("upload") != 4 {
			t.Error(err, f.Count("upload"))
		}
	})
	t.Run("one whose answer was lost has succeeded", func(t *testing.T) {
		for _, o := range []objstore.PutOptions{{}, {IfAbsent: true}} {
			f := faulty.New(objstore.NewMemory(), lost)
			info, err := uploadOnce(t, objstore.Retry(f, quick), o)
			if err != nil || info.Size != 7 || info.ETag == "" || f.Count("upload") != 1 {
				t.Error(info, err, f.Count("upload"))
			}
		}
	})
	t.Run("but one under a condition can't be told from another writer's", func(t *testing.T) {
		m := objstore.NewMemory()
		first, err := uploadOnce(t, m, objstore.PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := uploadOnce(t, objstore.Retry(faulty.New(m, lost), quick), objstore.PutOptions{IfMatch: first.ETag}); !errors.Is(err, objstore.ErrChanged) {
			t.Error(err)
		}
	})
	t.Run("one that broke off within the body is not", func(t *testing.T) {
		f := &breaking{Bucket: objstore.NewMemory()}
		for _, o := range []objstore.PutOptions{{}, {IfAbsent: true}} {
			if _, err := uploadOnce(t, objstore.Retry(f, quick), o); !errors.Is(err, objstore.ErrUnavailable) {
				t.Error(err)
			}
		}
		if f.n != 2 {
			t.Errorf("%d attempts with a body that is half read", f.n)
		}
	})
	t.Run("nor one that never came", func(t *testing.T) {
		for _, there := range []string{"", "another"} {
			f := &breaking{Bucket: objstore.NewMemory(), whole: true}
			if there != "" {
				f.Put(t.Context(), "x", strings.NewReader(there), 7, objstore.PutOptions{})
			}
			if _, err := uploadOnce(t, objstore.Retry(f, quick), objstore.PutOptions{}); !errors.Is(err, objstore.ErrUnavailable) {
				t.Error(err)
			}
			want := objstore.ErrUnavailable
			if there != "" {
				want = objstore.ErrExists
			}
			if _, err := uploadOnce(t, objstore.Retry(f, quick), objstore.PutOptions{IfAbsent: true}); !errors.Is(err, want) {
				t.Error(err)
			}
		}
	})
}

// breaking loses its connection in the middle of an upload, or at its end.
type breaking struct {
	objstore.Bucket
	whole bool
	n     int
}

func (b *breaking) Upload(_ context.Context, _ string, r io.Reader, _ objstore.PutOptions) (objstore.Info, error) {
	b.n++
	if b.whole {
		io.Copy(io.Discard, r)
	} else {
		r.Read(make([]byte, 1))
	}
	return objstore.Info{}, objstore.ErrUnavailable
}

func TestAnUploadIntoAFolder(t *testing.T) {
	path := t.TempDir()
	b, err := objstore.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("isn't there before its end, and leaves no file when it fails", func(t *testing.T) {
		r, w := io.Pipe()
		done := make(chan error)
		go func() {
			_, err := b.Upload(t.Context(), "a/x", r, objstore.PutOptions{})
			done <- err
		}()
		w.Write([]byte("half"))
		if _, err := b.Head(t.Context(), "a/x"); !errors.Is(err, objstore.ErrNotFound) {
			t.Error(err)
		}
		for info, err := range b.List(t.Context(), "", "") {
			t.Error(info, err)
		}
		w.CloseWithError(os.ErrNotExist) // which isn't that the object isn't there
		if err := <-done; errors.Is(err, objstore.ErrNotFound) || !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		if left, _ := os.ReadDir(filepath.Join(path, "a")); len(left) != 0 {
			t.Error(left)
		}
	})
}
