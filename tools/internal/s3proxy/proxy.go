package s3proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// chunk is how many bytes of a body go on at once.
const chunk = 16 << 10

// maxBuffered is the longest body that is kept in memory: of lists.
const maxBuffered = 64 << 20

// Proxy is a running one.
type Proxy struct {
	target *url.URL
	server *http.Server
	url    string
	client *http.Transport
	served sync.WaitGroup
	stop   context.CancelFunc // ends requests that wait

	mu     sync.Mutex
	faults []*Handle // replaced, never changed
	random *rand.Rand
	trace  []Request
	counts map[string]Count
	past   *past
}

// New starts a proxy on a free port of loopback, in front of the server at target: "http://127.0.0.1:9000". It panics if
// that is no URL, or if there is no port, as httptest.NewServer does.
func New(target string) *Proxy {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		panic(fmt.Sprintf("s3proxy: %q is no URL of a server", target))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("s3proxy: listening: %v", err))
	}
	p := &Proxy{
		target: u, url: "http://" + ln.Addr().String(), random: rand.New(rand.NewPCG(1, 0)), counts: map[string]Count{},
		// Bodies come through as they are, and each request has its own fate.
		client: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
		past:   newPast(),
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.server = &http.Server{Handler: p, BaseContext: func(net.Listener) context.Context { return ctx }}
	p.served.Go(func() { p.server.Serve(ln) })
	return p
}

// URL is where it listens: "http://127.0.0.1:port".
func (p *Proxy) URL() string { return p.url }

// Close ends it and resets what is on its way.
func (p *Proxy) Close() {
	p.stop()
	p.server.Close()
	p.served.Wait()
	p.client.CloseIdleConnections()
}

// passage is a request on its way through the proxy.
type passage struct {
	*Request
	p   *Proxy
	met []*Handle
	ctx context.Context
	// Bytes of the two bodies, of which the request's may still be read when the answer is there.
	sent, received atomic.Int64
}

// any tells whether one of the faults that meet it is so.
func (x *passage) any(is func(*Handle) bool) bool {
	for _, h := range x.met {
		if is(h) {
			return true
		}
	}
	return false
}

// ServeHTTP is for the server that New starts.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &passage{Request: describe(r), p: p, ctx: r.Context()}
	x.met = p.meet(x.Request)
	defer x.ended()
	for _, h := range x.met {
		x.wait(h.Latency)
	}
	switch {
	case x.any(func(h *Handle) bool { return h.Outage }):
		breakOff(w, true)
		return
	case x.any(func(h *Handle) bool { return h.SlowDown }):
		x.slowDown(w, r)
		return
	}
	answer, err := p.client.RoundTrip(x.outgoing(r))
	if err != nil { // the server's fault, or a body that was cut
		breakOff(w, true)
		return
	}
	defer answer.Body.Close()
	if x.Op == "list" {
		if err := x.list(r, answer); err != nil {
			breakOff(w, true)
			return
		}
	}
	if answer.StatusCode < 300 && (x.Op == "put" || x.Op == "complete") {
		p.wrote(x.Key)
	}
	if x.any(func(h *Handle) bool { return h.Lose }) {
		io.Copy(io.Discard, answer.Body) // the server has done all of it
		breakOff(w, true)
		return
	}
	x.answer(w, answer)
}

// outgoing is the request to the server: the same, its Host and path included, which are signed.
func (x *passage) outgoing(r *http.Request) *http.Request {
	out := r.Clone(x.ctx)
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = x.p.target.Scheme, x.p.target.Host
	out.Header.Del("Connection")
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header.Set("User-Agent", "") // otherwise the transport adds its own
	}
	if r.ContentLength == 0 {
		out.Body = http.NoBody
		return out
	}
	out.Body = io.NopCloser(x.body(r.Body, r.ContentLength, &x.sent, x.brings()))
	return out
}

// answer passes an answer on.
func (x *passage) answer(w http.ResponseWriter, answer *http.Response) {
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	x.Status = answer.StatusCode
	w.WriteHeader(answer.StatusCode)
	_, err := io.Copy(flushing{w}, x.body(answer.Body, answer.ContentLength, &x.received, !x.brings()))
	if err != nil {
		breakOff(w, !errors.Is(err, errCut)) // what came before a cut arrives
	}
}

// flushing passes on each chunk at once.
type flushing struct{ http.ResponseWriter }

func (f flushing) Write(b []byte) (int, error) {
	n, err := f.ResponseWriter.Write(b)
	if err == nil {
		err = http.NewResponseController(f.ResponseWriter).Flush()
	}
	return n, err
}

// brings tells whether the request has the body that matters.
func (x *passage) brings() bool { return x.Op == "put" || x.Op == "part" }

func (x *passage) slowDown(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body) // so that the connection can be used again
	x.sent.Add(n)
	body := []byte(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
	x.Status = http.StatusServiceUnavailable
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(x.Status)
	if x.Method != http.MethodHead {
		x.received.Add(int64(len(body)))
		w.Write(body)
	}
}

// wait sleeps, or ends with the request.
func (x *passage) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-x.ctx.Done():
	}
}

// breakOff ends the connection to the client, so that it sees neither an end nor an answer; hard: by a reset, which may
// also take what is on its way.
func breakOff(w http.ResponseWriter, hard bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the connection ends with the handler
	}
	if tcp, ok := conn.(*net.TCPConn); ok && hard {
		tcp.SetLinger(0)
	}
	conn.Close()
}
