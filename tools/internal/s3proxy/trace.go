package s3proxy

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Request is one that came to the proxy.
type Request struct {
	Method string
	// Op is its kind: get, head, put, list, delete (of one object or many), create, part, complete, abort (of uploads in
	// parts) or other.
	Op     string
	Key    string // without the bucket; of a list: the prefix; of a delete of many: ""
	Range  string // as the client wrote it: "bytes=0-99"
	Time   time.Time
	Status int // that the client got; 0: none, the connection was reset
	// Sent and Received are bytes of bodies that passed.
	Sent, Received int64
}

// Count sums up requests.
type Count struct{ Requests, Sent, Received int64 }

// Trace is all requests that have ended, in the order of their ends.
func (p *Proxy) Trace() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Request(nil), p.trace...)
}

// Reset forgets the trace, and with it the counts.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trace = nil
	clear(p.counts)
}

// Count sums up the requests of a method, or, if that is "", all.
func (p *Proxy) Count(method string) Count {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[method]
}

func (x *passage) ended() {
	r, p := x.Request, x.p
	r.Sent, r.Received = x.sent.Load(), x.received.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trace = append(p.trace, *r)
	for _, method := range []string{r.Method, ""} {
		c := p.counts[method]
		c.Requests++
		c.Sent += r.Sent
		c.Received += r.Received
		p.counts[method] = c
	}
}

// describe reads what a request is about.
func describe(r *http.Request) *Request {
	q := r.URL.Query()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	out := &Request{Method: r.Method, Key: key, Range: r.Header.Get("Range"), Time: time.Now(), Op: kind(r.Method, key, q)}
	if out.Op == "list" {
		out.Key = q.Get("prefix")
	}
	return out
}

func kind(method, key string, q url.Values) string {
	switch {
	case method == http.MethodPost && q.Has("uploads"):
		return "create"
	case method == http.MethodPut && q.Has("uploadId"):
		return "part"
	case method == http.MethodPost && q.Has("uploadId"):
		return "complete"
	case method == http.MethodDelete && q.Has("uploadId"):
		return "abort"
	case method == http.MethodDelete && key != "", method == http.MethodPost && q.Has("delete"):
		return "delete"
	case method == http.MethodGet && key == "" && !q.Has("uploads"):
		return "list"
	case key != "" && (method == http.MethodGet || method == http.MethodHead || method == http.MethodPut):
		return strings.ToLower(method)
	}
	return "other"
}
