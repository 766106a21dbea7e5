package s3store

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// store is the part of S3 that uploads need, for one object and without a network.
type store struct {
	*testing.T
	// fault decides about a request before it has its effect, or, if late, after. nil: nothing is wrong.
	fault func(op string, n int, late bool) *fault
	full  bool // it keeps checksums of whole objects

	mu      sync.Mutex
	count   map[string]int
	uploads map[string]map[int][]byte
	object  []byte
	etag    string
	sums    []string // the checksums that completions brought
	most    int      // requests with parts at one time
	now     int
}

type fault struct {
	status int // 0: the connection breaks
	code   string
}

var slowDown = &fault{503, "SlowDown"}

func newStore(t *testing.T) *store {
	return &store{T: t, full: true, count: map[string]int{}, uploads: map[string]map[int][]byte{}}
}

func (s *store) bucket() *Bucket {
	s.Helper()
	s.Setenv("AWS_CA_BUNDLE", "") // it would want to change the transport
	b, err := Open(s.Context(), Options{Bucket: "b", Endpoint: "http://127.0.0.1:1", HTTP: s,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		Retry:       objstore.RetryOptions{Attempts: 5, Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}})
	if err != nil {
		s.Fatal(err)
	}
	b.part = 100
	return b
}

func op(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "create"
	case r.Method == http.MethodPost:
		return "complete"
	case r.Method == http.MethodPut && q.Has("partNumber"):
		return "part"
	case r.Method == http.MethodDelete:
		return "abort"
	}
	return strings.ToLower(r.Method)
}

// Do is the network.
func (s *store) Do(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	op := op(r)
	s.mu.Lock()
	n := s.count[op]
	s.count[op]++
	if op == "part" {
		s.now++
		s.most = max(s.most, s.now)
		defer func() { s.mu.Lock(); s.now--; s.mu.Unlock() }()
	}
	s.mu.Unlock()
	w := httptest.NewRecorder()
	for _, late := range []bool{false, true} {
		if s.fault != nil {
			if f := s.fault(op, n, late); f != nil && f.status == 0 {
				return nil, errors.New("connection reset")
			} else if f != nil {
				refuse(w, f.status, f.code)
				return w.Result(), nil
			}
		}
		if !late {
			var body []byte
			if r.Body != nil {
				body, _ = io.ReadAll(r.Body)
			}
			s.mu.Lock()
			s.serve(w, r, op, body)
			s.mu.Unlock()
		}
	}
	return w.Result(), nil
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>m</Message></Error>", code)
}

func (s *store) serve(w http.ResponseWriter, r *http.Request, op string, body []byte) {
	q, sum := r.URL.Query(), r.Header.Get("X-Amz-Checksum-Crc32c")
	parts := s.uploads[q.Get("uploadId")]
	if parts == nil && (op == "part" || op == "complete" || op == "abort") {
		refuse(w, 404, "NoSuchUpload")
		return
	}
	right := func(b []byte) bool { n, _ := checksum(bytes.NewReader(b)); return sum == "" || sum == encodeSum(n) }
	switch op {
	case "create":
		if r.Header.Get("X-Amz-Checksum-Type") == "FULL_OBJECT" {
			if !s.full {
				refuse(w, 400, "InvalidRequest")
				return
			}
			w.Header().Set("X-Amz-Checksum-Type", "FULL_OBJECT")
		}
		id := strconv.Itoa(s.count["create"])
		s.uploads[id] = map[int][]byte{}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case "part", "put":
		if sum == "" || !right(body) {
			refuse(w, 400, "BadDigest")
			return
		}
		if op == "put" {
			s.write(w, r, body)
			return
		}
		n, _ := strconv.Atoi(q.Get("partNumber"))
		parts[n] = body
		w.Header().Set("ETag", fmt.Sprint(n))
	case "complete":
		var in struct {
			Part []struct{ PartNumber int }
		}
		if err := xml.Unmarshal(body, &in); err != nil || len(in.Part) != len(parts) {
			s.Errorf("%s: %v", body, err)
		}
		var whole []byte
		for _, p := range in.Part {
			whole = append(whole, parts[p.PartNumber]...)
		}
		if !right(whole) {
			refuse(w, 400, "BadDigest")
			return
		}
		s.sums = append(s.sums, sum)
		if s.write(w, r, whole) {
			delete(s.uploads, q.Get("uploadId"))
			fmt.Fprintf(w, "<CompleteMultipartUploadResult><ETag>%s</ETag></CompleteMultipartUploadResult>", s.etag)
		}
	case "abort":
		delete(s.uploads, q.Get("uploadId"))
		w.WriteHeader(204)
	case "head", "get":
		if s.etag == "" {
			refuse(w, 404, "NoSuchKey")
			return
		}
		w.Header().Set("ETag", s.etag)
		if r.Header.Get("Range") != "" {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(s.object)-1, len(s.object)))
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(s.object)))
		if op == "get" {
			w.Write(s.object)
		}
	}
}

func (s *store) write(w http.ResponseWriter, r *http.Request, b []byte) bool {
	match := r.Header.Get("If-Match")
	if r.Header.Get("If-None-Match") != "" && s.etag != "" || match != "" && match != s.etag {
		refuse(w, 412, "PreconditionFailed")
		return false
	}
	old, _ := strconv.Atoi(s.etag)
	s.object, s.etag = b, strconv.Itoa(old+1)
	w.Header().Set("ETag", s.etag)
	return true
}

func content(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// check compares what is left with what should be there.
func (s *store) check(want []byte) {
	s.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.uploads) != 0 {
		s.Errorf("%d uploads were left behind", len(s.uploads))
	}
	if !bytes.Equal(s.object, want) {
		s.Errorf("the object has %d bytes instead of %d", len(s.object), len(want))
	}
}
