package bucketurl

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, url, want, fails string }{
		{"memory", "mem:", "mem:", ""},
		{"a folder", "file://" + dir + "/x", "file://" + dir + "/x", ""},
		{"S3 with a prefix", "s3://bucket/some/prefix", "s3://bucket/some/prefix", ""},
		{"another server", "s3://bucket/p?endpoint=http://127.0.0.1:9000&region=eu-central-1&path_style=false", "s3://bucket/p?endpoint=http%3A%2F%2F127.0.0.1%3A9000", ""},
		{"a relative folder is refused", "file://x", "", "whole path"},
		{"another scheme is refused", "gs://bucket", "", `"gs" is no kind of bucket`},
		{"an unknown parameter is named", "s3://bucket?secret=1", "", `unknown parameter "secret"; known are endpoint`},
		{"a bucket without a name is refused", "s3:///prefix", "", "has no name"},
		{"path_style must be a truth value", "s3://b?path_style=maybe", "", "true or false"},
		{"credentials are refused and not repeated", "s3://key:hunter2@bucket", "", "don't belong"},
		{"credentials in the endpoint are refused and not repeated", "s3://b?endpoint=http://key:hunter2@127.0.0.1", "", "don't belong"},
		{"a parameter of a folder is refused", "file:///x?region=r", "", "takes no parameters"},
		{"a parameter of memory is refused", "mem:?region=r", "", "takes no parameters"},
		{"what follows a # is refused", "s3://b/p#1", "", "%23"},
		{"what isn't a URL is refused and not repeated", "s3://key:hunter2@%zz", "", "can't be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := Open(t.Context(), c.url)
			switch {
			case c.fails != "":
				if err == nil || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("got %v", err)
				}
			case err != nil:
				t.Error(err)
			case b.String() != c.want:
				t.Errorf("got %s", b)
			}
		})
	}
}

// requests is a MeterProvider that keeps the requests it is told of, with their outcomes.
type requests struct {
	metricnoop.MeterProvider
	mu   sync.Mutex
	list []string
}

func (r *requests) Meter(string, ...metric.MeterOption) metric.Meter { return meter{r: r} }

type meter struct {
	metricnoop.Meter
	r *requests
}

func (m meter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return histogram{r: m.r}, nil
}

type histogram struct {
	metricnoop.Float64Histogram
	r *requests
}

func (h histogram) Record(_ context.Context, _ float64, o ...metric.RecordOption) {
	set := metric.NewRecordConfig(o).Attributes()
	var words []string
	for _, name := range []attribute.Key{"op", "outcome"} {
		v, _ := set.Value(name)
		words = append(words, v.AsString())
	}
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	h.r.list = append(h.r.list, strings.Join(words, " "))
}

func TestEachAttemptIsMeasuredAndRetriesAreAsTold(t *testing.T) {
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer busy.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	retry := objstore.RetryOptions{Attempts: 2, Sleep: func(context.Context, time.Duration) error { return nil }}
	for _, c := range []struct {
		url  string
		want []string
	}{
		// An upload of one part is a put, which is repeated within it; in the end somebody looks whether it is there.
		{"s3://b/p?endpoint=" + busy.URL, []string{"head unavailable", "head unavailable", "put unavailable", "put unavailable", "upload unavailable",
			"head unavailable", "head unavailable"}},
		{"file://" + t.TempDir(), []string{"head not_found", "upload ok"}},
		{"mem:", []string{"head not_found", "upload ok"}},
	} {
		var r requests
		b, err := OpenWith(t.Context(), c.url, Options{MeterProvider: &r, Retry: retry})
		if err != nil {
			t.Fatal(err)
		}
		b.Head(t.Context(), "x")
		objstore.Upload(t.Context(), b, "x", strings.NewReader("content"), objstore.PutOptions{})
		if !slices.Equal(r.list, c.want) {
			t.Errorf("%s: %q", c.url, r.list)
		}
	}
}

func TestAPlainFolderHasPlainFiles(t *testing.T) {
	dir := t.TempDir()
	b, err := OpenWith(t.Context(), "file://"+dir, Options{Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "x", strings.NewReader("content"), 7, objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "x")); err != nil || string(got) != "content" {
		t.Errorf("%q %v", got, err)
	}
}
