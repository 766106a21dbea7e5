package s3proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/objtest"
	"github.com/bop-platform/bop/modules/aof/objstore/s3store"
)

func TestMain(m *testing.M) {
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Exit(m.Run())
}

// start runs an S3 server in this process, a proxy in front of it, and opens the bucket by both.
func start(t *testing.T) (p *Proxy, through, direct objstore.Bucket) {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	p = New(server.URL)
	t.Cleanup(p.Close)
	return p, open(t, p.URL()), open(t, server.URL)
}

func open(t *testing.T, endpoint string) objstore.Bucket {
	t.Helper()
	b, err := s3store.Open(t.Context(), s3store.Options{Bucket: "bucket", Endpoint: endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		Retry:       objstore.RetryOptions{Attempts: 30, First: time.Millisecond, Most: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, b objstore.Bucket, key, text string) error {
	t.Helper()
	_, err := b.Put(t.Context(), key, strings.NewReader(text), int64(len(text)), objstore.PutOptions{})
	return err
}

func get(t *testing.T, b objstore.Bucket, key string) (string, error) {
	t.Helper()
	body, _, err := b.Get(t.Context(), key, 0, -1)
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	return string(text), err
}

func keys(t *testing.T, b objstore.Bucket, prefix string) (keys []string) {
	t.Helper()
	for info, err := range b.List(t.Context(), prefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func unavailable(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, objstore.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
}

func TestABucketBehindAProxyIsABucket(t *testing.T) {
	objtest.Run(t, func(t *testing.T) objstore.Bucket {
		_, b, _ := start(t)
		return b
	}, objtest.Options{Many: 1200, Part: 8 << 20, OwnTime: true, Lax: true})
}

func TestABucketBehindABadProxyAndRetriesIsABucket(t *testing.T) {
	objtest.Run(t, func(t *testing.T) objstore.Bucket {
		p, b, _ := start(t)
		p.Add(Fault{SlowDown: true, Chance: 0.1})
		p.Add(Fault{Outage: true, Chance: 0.1})
		p.Add(Fault{Cut: 300, Chance: 0.2})
		// Of a replacement whose answer is lost nobody knows, so not of the counter's and the like.
		p.Add(Fault{Lose: true, Chance: 0.1, When: func(method, key string) bool { return method != http.MethodPut || key != "n" && key != "x" }})
		return objstore.Retry(b, objstore.RetryOptions{Attempts: 200, First: time.Millisecond, Most: time.Millisecond})
	}, objtest.Options{Many: 1200, Part: 8 << 20, OwnTime: true, Lax: true})
}

func TestRequestsReachTheServerAsTheyWere(t *testing.T) {
	var got *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "answer")
	}))
	defer server.Close()
	p := New(server.URL)
	defer p.Close()
	const target = "/bucket/a%2Fb/c%20d+e?prefix=x%2Fy&z"
	r, err := http.NewRequest(http.MethodPut, p.URL()+target, strings.NewReader("content"))
	must(t, err)
	r.Host = "s3.example.org"
	r.Header.Set("Expect", "100-continue")
	r.Header.Set("X-Amz-Meta-A", "b")
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if got.Host != "s3.example.org" || got.RequestURI != target || got.Header.Get("X-Amz-Meta-A") != "b" || string(body) != "content" {
		t.Errorf("%s %s %v %q", got.Host, got.RequestURI, got.Header, body)
	}
	if answer.StatusCode != http.StatusTeapot || answer.Header.Get("X-Answer") != "yes" || string(text) != "answer" {
		t.Errorf("%v %q", answer, text)
	}
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, p *Proxy, b, direct objstore.Bucket)
	}{
		{"latency", func(t *testing.T, p *Proxy, b, direct objstore.Bucket) {
			p.Add(Fault{Latency: 50 * time.Millisecond})
			began := time.Now()
			must(t, put(t, b, "x", "content"))
			if d := time.Since(began); d < 50*time.Millisecond {
				t.Error(d)
			}
		}},
		{"bandwidth is shared", func(t *testing.T, p *Proxy, b, direct objstore.Bucket) {
			must(t, put(t, direct, "x", strings.Repeat("x", 100_000)))
			p.Add(Fault{Bandwidth: 1_000_000})
			began := time.Now()
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					if _, err := get(t, b, "x"); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if d := time.Since(began); d < 200*time.Millisecond {
				t.Error(d)
			}
		}},
		{"a busy server has done nothing", func(t *testing.T, p *Proxy, b, direct objstore.Bucket) {
			p.Add(Fault{SlowDown: true})
			unavailable(t, put(t, b, "x", "content"))
			if got := keys(t, direct, ""); len(got) != 0 {
				t.Error(got)
			}
		}},
		{"a lost answer leaves its effect", func(t *testing.T, p *Proxy, b, direct objstore.Bucket) {
			h := p.Add(Fault{Lose: true, Times: 1})
			unavailable(t, put(t, b, "x", "content"))
			if got, err := get(t, direct, "x"); got != "content" {
				t.Error(got, err)
			}
			must(t, put(t, b, "x", "again"))
			if h.Met() != 1 {
				t.Error(h.Met())
			}
		}},
		{"a body that is read is cut", func(t *testing.T, p *Proxy, b, direct objstore.Bucket) {
			must(t, put(t, direct, "x", "content"))
			p.Add(Fault{Cut: 3})
			got, err := get(t, b, "x")
			if unavailable(t, err); got != "con" {
				t.Error(got)
			}
			p.Clear()
			p.Add(Fault{Cut: -1})
			got, err = get(t, b, "x")
			if unavailable(t, err); got != "" {
				t.Error(got)
			}
		}},
		{"a body that is put is cut", func(t *testing.T, p *Proxy, b, direct objstore.Bucket) {
			p.Add(Fault{Cut: 3})
			unavailable(t, put(t, b, "x", "content"))
			if got := keys(t, direct, ""); len(got) != 0 {
				t.Error(got)
			}
		}},
		{"a bit is flipped", func(t *testing.T, p *Proxy, b, direct objstore.Bucket) {
			must(t, put(t, direct, "x", "content"))
			p.Add(Fault{Flip: 1 + 8*2})
			if got, err := get(t, b, "x"); err != nil || got != "cootent" {
				t.Errorf("%q %v", got, err)
			}
			p.Clear()
			p.Add(Fault{Flip: -1})
			got, err := get(t, b, "x")
			if differ := bits(got, "content"); err != nil || differ != 1 {
				t.Errorf("%q %v", got, err)
			}
			put(t, b, "y", "content")
			got, err = get(t, direct, "y")
			if differ := bits(got, "content"); err != nil || differ != 1 {
				t.Errorf("%q %v", got, err)
			}
		}},
		{"an outage, also in the middle of a body, and its end", func(t *testing.T, p *Proxy, b, direct objstore.Bucket) {
			must(t, put(t, direct, "x", strings.Repeat("x", 1<<20)))
			slow := p.Add(Fault{Bandwidth: 10 << 20})
			body, _, err := b.Get(t.Context(), "x", 0, -1)
			must(t, err)
			defer body.Close()
			h := p.Add(Fault{Outage: true})
			_, err = io.ReadAll(body)
			unavailable(t, err)
			_, err = b.Head(t.Context(), "x")
			unavailable(t, err)
			h.Remove()
			slow.Remove()
			if _, err := get(t, b, "x"); err != nil {
				t.Error(err)
			}
		}},
		{"a list that was seen before is stale", func(t *testing.T, p *Proxy, b, direct objstore.Bucket) {
			for _, key := range []string{"a/1", "a/2"} {
				must(t, put(t, b, key, key))
			}
			keys(t, b, "a/")
			h := p.Add(Fault{Stale: true})
			must(t, put(t, b, "a/3", "3"))
			must(t, b.Delete(t.Context(), "a/1"))
			for range 2 {
				if got := keys(t, b, "a/"); !slices.Equal(got, []string{"a/1", "a/2"}) {
					t.Error(got)
				}
			}
			h.Remove()
			if got := keys(t, b, "a/"); !slices.Equal(got, []string{"a/2", "a/3"}) {
				t.Error(got)
			}
		}},
		{"a list that wasn't has none of the new objects", func(t *testing.T, p *Proxy, b, direct objstore.Bucket) {
			must(t, put(t, direct, "a/0", "unknown to the proxy"))
			must(t, put(t, b, "a/1 <&>", "old"))
			p.Add(Fault{Stale: true})
			must(t, put(t, b, "a/1 <&>", "replaced"))
			must(t, put(t, b, "a/2 <&>", "new"))
			_, err := objstore.Upload(t.Context(), b, "a/3", bytes.NewReader(make([]byte, 9<<20)), objstore.PutOptions{})
			must(t, err)
			if got := keys(t, b, "a/"); !slices.Equal(got, []string{"a/0", "a/1 <&>"}) {
				t.Error(got)
			}
		}},
		{"only requests that fit are met", func(t *testing.T, p *Proxy, b, direct objstore.Bucket) {
			h := p.Add(Fault{SlowDown: true, When: func(method, key string) bool { return method == http.MethodPut && strings.HasPrefix(key, "a/") }})
			must(t, put(t, b, "b", "content"))
			unavailable(t, put(t, b, "a/b", "content"))
			if _, err := b.Head(t.Context(), "a/b"); !errors.Is(err, objstore.ErrNotFound) || h.Met() != 1 {
				t.Error(err, h.Met())
			}
		}},
		{"the completion of an upload is met by its kind", func(t *testing.T, p *Proxy, b, direct objstore.Bucket) {
			complete := p.Add(Fault{Op: "complete", Lose: true, Times: 1})
			part := p.Add(Fault{Op: "part", Cut: 1 << 20, Times: 2})
			long := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
			_, err := objstore.Upload(t.Context(), b, "x", bytes.NewReader(long), objstore.PutOptions{})
			if err != nil || complete.Met() != 1 || part.Met() != 2 {
				t.Error(err, complete.Met(), part.Met())
			}
			if got, err := get(t, direct, "x"); got != string(long) {
				t.Error(len(got), err)
			}
		}},
		{"a storm comes and goes", func(t *testing.T, p *Proxy, b, direct objstore.Bucket) {
			h := p.Add(Fault{SlowDown: true, From: time.Minute, To: 2 * time.Minute})
			for age, want := range map[time.Duration]bool{0: false, 59 * time.Second: false, time.Minute: true, 119 * time.Second: true, 2 * time.Minute: false} {
				if got := h.fits(&Request{}, h.added.Add(age)); got != want {
					t.Errorf("after %v: %v", age, got)
				}
			}
			must(t, put(t, b, "x", "content"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, b, direct := start(t)
			c.run(t, p, b, direct)
		})
	}
}

// bits counts those that differ.
func bits(a, b string) (n int) {
	for i := range min(len(a), len(b)) {
		for x := a[i] ^ b[i]; x != 0; x &= x - 1 {
			n++
		}
	}
	return n + 8*max(len(a)-len(b), len(b)-len(a))
}

func TestTheSameSeedHasTheSameFaults(t *testing.T) {
	p, b, _ := start(t)
	p.Add(Fault{SlowDown: true, Chance: 0.5})
	var runs [2][]bool
	for i := range runs {
		p.Seed(7)
		for range 50 {
			runs[i] = append(runs[i], put(t, b, "x", "content") == nil)
		}
	}
	if !slices.Equal(runs[0], runs[1]) {
		t.Errorf("%v\n%v", runs[0], runs[1])
	}
	if n := len(slices.DeleteFunc(runs[0], func(ok bool) bool { return !ok })); n < 10 || n > 40 {
		t.Errorf("%d of 50 came through", n)
	}
}

func TestRequestsAreTracedAndCounted(t *testing.T) {
	p, b, _ := start(t)
	must(t, put(t, b, "a/x", "content"))
	body, _, err := b.Get(t.Context(), "a/x", 2, 3)
	must(t, err)
	io.Copy(io.Discard, body)
	body.Close()
	b.Head(t.Context(), "nothing")
	keys(t, b, "a/")
	_, err = objstore.Upload(t.Context(), b, "up", bytes.NewReader(make([]byte, 9<<20)), objstore.PutOptions{})
	must(t, err)
	p.Add(Fault{Outage: true, Op: "delete"})
	unavailable(t, b.Delete(t.Context(), "a/x", "up"))
	var got []string
	for _, r := range p.Trace() {
		if r.Time.IsZero() {
			t.Error("a request without a time")
		}
		got = append(got, strings.Join([]string{r.Op, r.Method, r.Key, r.Range, http.StatusText(r.Status)}, " "))
	}
	want := []string{"put PUT a/x  OK", "get GET a/x bytes=2-4 Partial Content", "head HEAD nothing  Not Found", "list GET a/  OK",
		"create POST up  OK", "part PUT up  OK", "part PUT up  OK", "complete POST up  OK", "delete POST   "}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if c := p.Count(http.MethodPut); c.Requests != 3 || c.Sent != 7+9<<20 {
		t.Errorf("%+v", c)
	}
	if c := p.Count(http.MethodGet); c.Requests != 2 || c.Received < 3 {
		t.Errorf("%+v", c)
	}
	if c := p.Count(""); int(c.Requests) != len(want) {
		t.Errorf("%+v", c)
	}
	p.Reset()
	if len(p.Trace()) != 0 || p.Count("") != (Count{}) {
		t.Error("something is left")
	}
}

func TestFaultsChangeWhileRequestsCome(t *testing.T) {
	p, b, _ := start(t)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				put(t, b, "x", "content")
				get(t, b, "x")
			}
		})
	}
	for i := range 200 {
		h := p.Add(Fault{SlowDown: true, Chance: 0.5, Stale: i%2 == 0, Flip: -1})
		p.Count("")
		p.Trace()
		h.Met()
		h.Remove()
	}
	stop()
	wg.Wait()
	must(t, put(t, b, "x", "content"))
}

func TestClosingEndsRequestsThatWait(t *testing.T) {
	p, b, _ := start(t)
	h := p.Add(Fault{Latency: time.Hour})
	done := make(chan error)
	go func() { done <- put(t, b, "x", "content") }()
	for h.Met() == 0 {
		time.Sleep(time.Millisecond)
	}
	p.Close()
	unavailable(t, <-done)
}
