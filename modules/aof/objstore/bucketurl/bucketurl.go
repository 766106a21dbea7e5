// Package bucketurl opens buckets by their URLs.
package bucketurl

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/s3store"
)

// parameters of an s3 URL.
var parameters = []string{"endpoint", "path_style", "profile", "region"}

// Open opens the bucket of a URL, with retries:
//
//	s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=eu-central-1&path_style=true&profile=backup
//	file:///var/backups/log
//	mem:
//
// Credentials are never part of it: they come from the environment or the shared files, as package s3store says.
func Open(ctx context.Context, text string) (objstore.Bucket, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("objstore: the bucket's URL can't be read: it is s3://bucket/prefix, file:///folder or mem:")
	}
	if u.User != nil {
		return nil, errors.New("objstore: credentials don't belong into the bucket's URL: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile")
	}
	if u.Fragment != "" {
		return nil, errors.New("objstore: a # in the bucket's URL has to be written %23")
	}
	if u.Scheme != "s3" && u.RawQuery != "" {
		return nil, fmt.Errorf("objstore: a bucket of the kind %q takes no parameters", u.Scheme)
	}
	switch u.Scheme {
	case "mem":
		return objstore.NewMemory(), nil
	case "file":
		if u.Host != "" || !filepath.IsAbs(filepath.FromSlash(u.Path)) {
			return nil, fmt.Errorf("objstore: %s needs a whole path: file:///folder", text)
		}
		return objstore.OpenDir(filepath.FromSlash(u.Path))
	case "s3":
		b, err := openS3(ctx, u)
		if err != nil {
			return nil, err
		}
		return objstore.Prefix(objstore.Retry(b, objstore.RetryOptions{}), u.Path), nil
	}
	return nil, fmt.Errorf("objstore: %q is no kind of bucket: use s3://bucket/prefix, file:///folder or mem:", u.Scheme)
}

func openS3(ctx context.Context, u *url.URL) (objstore.Bucket, error) {
	q := u.Query()
	for name := range q {
		if !slices.Contains(parameters, name) {
			return nil, fmt.Errorf("objstore: the bucket's URL has the unknown parameter %q; known are %s", name, strings.Join(parameters, ", "))
		}
	}
	o := s3store.Options{Bucket: u.Host, Endpoint: q.Get("endpoint"), Region: q.Get("region"), Profile: q.Get("profile")}
	if text := q.Get("path_style"); text != "" {
		path, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("objstore: path_style is true or false, not %q", text)
		}
		o.PathStyle = &path
	}
	return s3store.Open(ctx, o)
}
