package s3store

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

func serve(t *testing.T, h http.HandlerFunc) *Bucket {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return open(t, server.URL)
}

func TestAnswersThatAreNotWhatWasAskedFor(t *testing.T) {
	for _, c := range []struct {
		name   string
		header map[string]string
		off, n int64
	}{
		{"a part of the range", map[string]string{"Content-Range": "bytes 4-6/100", "Content-Length": "3"}, 4, 10},
		{"another range", map[string]string{"Content-Range": "bytes 0-2/100", "Content-Length": "3"}, 4, 3},
		{"a range that isn't one", map[string]string{"Content-Range": "bytes x", "Content-Length": "3"}, 4, 3},
		{"an object of unknown length", map[string]string{"Transfer-Encoding": "chunked"}, 0, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := serve(t, func(w http.ResponseWriter, r *http.Request) {
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				if c.n >= 0 {
					w.WriteHeader(http.StatusPartialContent)
				}
				io.WriteString(w, "abc")
				w.(http.Flusher).Flush()
			})
			body, _, err := b.Get(t.Context(), "x", c.off, c.n)
			if err == nil {
				body.Close()
			}
			if !errors.Is(err, objstore.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnEmptyObjectHasEachRangeThatBeginsAtItsStart(t *testing.T) {
	b := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		}
	})
	body, info, err := b.Get(t.Context(), "x", 0, 10)
	if err != nil || info.Size != 0 {
		t.Fatal(info, err)
	}
	if got, err := io.ReadAll(body); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
	if _, _, err := b.Get(t.Context(), "x", 1, 10); !errors.Is(err, objstore.ErrRange) {
		t.Error(err)
	}
}

func TestABodyThatStallsIsAnError(t *testing.T) {
	release := make(chan struct{})
	b := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Header().Set("Content-Range", "bytes 0-99/100")
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, "the beginning")
		w.(http.Flusher).Flush()
		<-release
	})
	t.Cleanup(func() { close(release) }) // before the server closes, which waits for its requests
	b.stall = 20 * time.Millisecond
	_, err := objstore.Checksum(t.Context(), b, "x", 100)
	if !errors.Is(err, objstore.ErrUnavailable) || !strings.Contains(err.Error(), "no byte") {
		t.Errorf("got %v", err)
	}
}

func TestAnEndpointWithASecretIsRefusedAndNotRepeated(t *testing.T) {
	for _, endpoint := range []string{"http://key:hunter2@127.0.0.1:9000", "http://hunter2@%zz", "hunter2", "http://h?key=hunter2"} {
		_, err := Open(t.Context(), Options{Bucket: "b", Endpoint: endpoint})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
}
