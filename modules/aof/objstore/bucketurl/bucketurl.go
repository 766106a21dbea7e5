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

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/s3store"
)

// parameters of an s3 URL.
var parameters = []string{"endpoint", "path_style", "profile", "region"}

// Options say what else a bucket gets. The zero value is good.
type Options struct {
	MeterProvider  metric.MeterProvider // of the metrics that package objstore lists; nil: none
	TracerProvider trace.TracerProvider // of a span for each request; nil: none
	Retry          objstore.RetryOptions
	Plain          bool // a folder is one of objstore.OpenPlainDir; of no effect on other buckets
}

// Open is OpenWith without options.
func Open(ctx context.Context, text string) (objstore.Bucket, error) {
	return OpenWith(ctx, text, Options{})
}

// OpenWith opens the bucket of a URL, with retries:
//
//	s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=eu-central-1&path_style=true&profile=backup
//	file:///var/backups/log
//	mem:
//
// Credentials are never part of it: they come from the environment or the shared files, as package s3store says.
func OpenWith(ctx context.Context, text string, o Options) (objstore.Bucket, error) {
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
		return o.instrument(objstore.NewMemory())
	case "file":
		if u.Host != "" || !filepath.IsAbs(filepath.FromSlash(u.Path)) {
			return nil, fmt.Errorf("objstore: %s needs a whole path: file:///folder", text)
		}
		open := objstore.OpenDir
		if o.Plain {
			open = objstore.OpenPlainDir
		}
		b, err := open(filepath.FromSlash(u.Path))
		if err != nil {
			return nil, err
		}
		return o.instrument(b)
	case "s3":
		s, err := openS3(ctx, u, o.Retry)
		if err != nil {
			return nil, err
		}
		b, err := o.instrument(s)
		if err != nil {
			return nil, err
		}
		return objstore.Prefix(objstore.Retry(b, o.Retry), u.Path), nil
	}
	return nil, fmt.Errorf("objstore: %q is no kind of bucket: use s3://bucket/prefix, file:///folder or mem:", u.Scheme)
}

// instrument leaves a bucket as it is if nobody wants to know of it.
func (o Options) instrument(b objstore.Bucket) (objstore.Bucket, error) {
	if o.MeterProvider == nil && o.TracerProvider == nil {
		return b, nil
	}
	if o.MeterProvider == nil {
		o.MeterProvider = metricnoop.NewMeterProvider()
	}
	if o.TracerProvider == nil {
		o.TracerProvider = tracenoop.NewTracerProvider()
	}
	return objstore.Instrument(b, o.TracerProvider, o.MeterProvider)
}

func openS3(ctx context.Context, u *url.URL, retry objstore.RetryOptions) (objstore.Bucket, error) {
	q := u.Query()
	for name := range q {
		if !slices.Contains(parameters, name) {
			return nil, fmt.Errorf("objstore: the bucket's URL has the unknown parameter %q; known are %s", name, strings.Join(parameters, ", "))
		}
	}
	o := s3store.Options{Bucket: u.Host, Endpoint: q.Get("endpoint"), Region: q.Get("region"), Profile: q.Get("profile"), Retry: retry}
	if text := q.Get("path_style"); text != "" {
		path, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("objstore: path_style is true or false, not %q", text)
		}
		o.PathStyle = &path
	}
	return s3store.Open(ctx, o)
}
