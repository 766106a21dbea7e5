package balance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httputil"
	"strconv"
	"sync"
	"time"
)

// HTTPOptions are those of HTTP. The zero value is useful.
type HTTPOptions struct {
	Policy        Policy
	DialTimeout   time.Duration // of one attempt; default 3 s
	HeaderTimeout time.Duration // until the target answers, after the request was sent; default 0: none
	Wait          time.Duration // how long a request is held while no target is ready; default 5 s, negative: not at all
	RetryAfter    time.Duration // told with a 503, in whole seconds; default 1 s
	MaxIdle       int           // kept connections per target; default 64

	// TrustForwarded keeps the client's X-Forwarded-For, -Proto and -Host and appends to the first. It is for a handler
	// behind another proxy. Without it they are dropped, as anybody can write anything into them.
	TrustForwarded bool
	// FailOn5xx counts an answer of 500 and above as a failure of the target, like a refused connection.
	FailOn5xx bool

	Logger *slog.Logger // default: that of the pool
}

// HTTP makes a handler that passes requests to the pool's targets, also upgrades such as WebSocket, and streams.
//
// A request that meets a refused connection is tried on the other targets, each once, if it has no body and its method is
// idempotent. Errors are short plain texts: 503 with Retry-After when no target is ready or the target was taken out, 504
// when it was too slow, 502 for the rest. A client that goes away cancels its request at the target.
//
// The handler has nothing to close: kept connections end with their target, or with the pool.
func HTTP(pool *Pool, o HTTPOptions) http.Handler {
	o.DialTimeout = cmp.Or(max(o.DialTimeout, 0), 3*time.Second)
	o.Wait = cmp.Or(o.Wait, 5*time.Second)
	o.RetryAfter = cmp.Or(max(o.RetryAfter, 0), time.Second)
	o.MaxIdle = cmp.Or(max(o.MaxIdle, 0), 64)
	if o.Logger == nil {
		o.Logger = pool.o.Logger
	}
	h := &handler{pool: pool, o: o}
	h.proxy = httputil.ReverseProxy{
		Rewrite:      h.rewrite,
		Transport:    newTransport(pool, o),
		ErrorHandler: h.fail,
		BufferPool:   &buffers{},
		ErrorLog:     slog.NewLogLogger(o.Logger.With("service", pool.o.Name).Handler(), slog.LevelDebug),
	}
	return h
}

type handler struct {
	pool  *Pool
	o     HTTPOptions
	proxy httputil.ReverseProxy
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.pool.count.accepted.Add(1)
	h.pool.count.active.Add(1)
	defer h.pool.count.active.Add(-1)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	h.proxy.ServeHTTP(w, r.WithContext(ctx))
}

// rewrite makes the request for the target. The transport sets the address, as only it knows who is tried.
func (h *handler) rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.Scheme = "http"
	r.Out.URL.Host = r.In.Host
	// ReverseProxy drops parameters it can't parse; a balancer has no opinion on them.
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	const forwarded, proto, host = "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"
	if h.o.TrustForwarded {
		r.Out.Header[forwarded] = r.In.Header[forwarded]
	}
	r.SetXForwarded()
	if h.o.TrustForwarded {
		for _, name := range []string{proto, host} {
			if v := r.In.Header[name]; len(v) > 0 {
				r.Out.Header[name] = v
			}
		}
	}
}

// fail answers a request that got no answer from a target.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the client is gone
	}
	var dial *DialError
	var slow interface{ Timeout() bool }
	status, reason := http.StatusBadGateway, "the target broke the connection"
	switch {
	case errors.Is(err, ErrNoTarget), errors.Is(err, ErrClosed):
		h.pool.count.unserved.Add(1)
		status, reason = http.StatusServiceUnavailable, "no target is ready"
	case errors.Is(err, errCut):
		status, reason = http.StatusServiceUnavailable, errCut.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		status, reason = http.StatusGatewayTimeout, "the target was too slow"
	case errors.As(err, &dial):
		reason = "no target could be reached"
	}
	if errors.As(err, &dial) {
		h.pool.count.failed.Add(1)
	}
	h.pool.complain(h.o.Logger, "request failed", "service", h.pool.o.Name, "method", r.Method, "path", r.URL.Path,
		"status", status, "err", err)
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable {
		header.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(h.o.RetryAfter.Seconds())))))
	}
	w.WriteHeader(status)
	// The reason is ours and names no address: those are nobody's business outside.
	fmt.Fprintf(w, "%d %s: %s\n", status, http.StatusText(status), reason)
}

// buffers are for copying bodies.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
