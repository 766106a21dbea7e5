package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

func TestAnswersBecomeErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		code   string
		want   error
	}{
		{"no object", 404, "NoSuchKey", objstore.ErrNotFound},
		{"no object, without a body", 404, "", objstore.ErrNotFound},
		{"a condition that doesn't hold", 412, "PreconditionFailed", objstore.ErrExists},
		{"two conditional puts at once", 409, "ConditionalRequestConflict", objstore.ErrUnavailable},
		{"no right", 403, "AccessDenied", objstore.ErrDenied},
		{"a wrong key", 403, "SignatureDoesNotMatch", objstore.ErrDenied},
		{"other bytes than told", 400, "BadDigest", objstore.ErrChecksum},
		{"too many requests", 503, "SlowDown", objstore.ErrUnavailable},
		{"a fault of the server", 500, "InternalError", objstore.ErrUnavailable},
		{"a fault of a proxy", 502, "", objstore.ErrUnavailable},
		{"throttled", 429, "", objstore.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(c.status)
				if c.code != "" {
					fmt.Fprintf(w, "<Error><Code>%s</Code><Message>m</Message></Error>", c.code)
				}
			}))
			defer server.Close()
			b := open(t, server.URL)
			_, err := b.Put(t.Context(), "x", strings.NewReader("content"), 7, objstore.PutOptions{IfAbsent: true})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		server := httptest.NewServer(nil)
		server.Close()
		_, err := open(t, server.URL).Head(t.Context(), "x")
		if !errors.Is(err, objstore.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the caller's context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := open(t, "http://127.0.0.1:1").Head(ctx, "x")
		if !errors.Is(err, context.Canceled) || errors.Is(err, objstore.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a body that is cut is an error", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("Content-Range", "bytes 0-99/100")
			w.WriteHeader(http.StatusPartialContent)
			w.Write([]byte("short"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}))
		defer server.Close()
		server.Config.ErrorLog = nil
		body, _, err := open(t, server.URL).Get(t.Context(), "x", 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		got, err := io.ReadAll(body)
		if string(got) != "short" || !errors.Is(err, objstore.ErrUnavailable) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("a server that ignores the range is found out", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("the whole object")) }))
		defer server.Close()
		_, _, err := open(t, server.URL).Get(t.Context(), "x", 4, 5)
		if !errors.Is(err, objstore.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
}

func open(t *testing.T, url string) *Bucket {
	t.Helper()
	b, err := Open(t.Context(), Options{Bucket: "b", Endpoint: url, Credentials: credentials.NewStaticCredentialsProvider("key", "secret", "")})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
