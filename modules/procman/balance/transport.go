package balance

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// errCut: the drain of the target ended before the request.
var errCut = errors.New("the target was taken out")

// transport sends each request to a leased target.
type transport struct {
	pool *Pool
	o    HTTPOptions
	base *http.Transport
}

// memberKey is under which a request's context tells the dialer whose connection it is.
type memberKey struct{}

func newTransport(pool *Pool, o HTTPOptions) *transport {
	t := &transport{pool: pool, o: o}
	dialer := &net.Dialer{Timeout: o.DialTimeout}
	t.base = &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			m := ctx.Value(memberKey{}).(*member)
			c, err := dialer.DialContext(ctx, network, m.Address)
			if err != nil {
				return nil, &DialError{Target: m.target(), Err: err}
			}
			counted := &countedConn{Conn: c, pool: pool, member: m}
			if !m.keep(counted) {
				c.Close()
				return nil, &DialError{Target: m.target(), Err: errCut}
			}
			return counted, nil
		},
		DisableCompression:    true, // the body is passed on as it is
		MaxIdleConnsPerHost:   o.MaxIdle,
		IdleConnTimeout:       90 * time.Second,
		ResponseHeaderTimeout: o.HeaderTimeout,
		ExpectContinueTimeout: time.Second,
	}
	return t
}

// RoundTrip tries targets, each at most once, until one answers or the request may not be sent again.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var tried []*member
	var last error
	for {
		lease, err := t.pool.acquire(r.Context(), t.o.Policy, t.o.Wait, tried)
		if err != nil {
			if last != nil {
				return nil, last
			}
			return nil, err
		}
		response, err := t.try(r, lease)
		if err == nil {
			return response, nil
		}
		var dial *DialError
		if !errors.As(err, &dial) || !repeatable(r) || r.Context().Err() != nil {
			return nil, err
		}
		tried = append(tried, lease.member)
		last = err
	}
}

// repeatable tells that sending a request again does no harm.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return r.Body == nil || r.Body == http.NoBody
	}
	return false
}

// try sends the request to the target of a lease, which ends with the answer's body.
func (t *transport) try(r *http.Request, lease *Lease) (*http.Response, error) {
	m := lease.member
	ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), memberKey{}, m))
	body := &leasedBody{request: r.Context(), lease: lease, cancel: cancel}
	lease.OnCut(body.cut)

	out := r.WithContext(ctx)
	out.URL = new(url.URL)
	*out.URL = *r.URL
	// The transport keeps connections by this name. It is the member's own: two members may have one address, when a
	// replica was replaced, and the end of the first may not close what the second uses.
	out.URL.Host = m.host
	if out.Host == "" {
		out.Host = m.Address
	}
	response, err := t.base.RoundTrip(out)
	if err != nil {
		if errors.Is(context.Cause(ctx), errCut) {
			err = errCut
		}
		var dial *DialError
		if errors.As(err, &dial) && ctx.Err() == nil {
			lease.Dialed(dial.Err)
		}
		lease.Done()
		cancel(nil)
		return nil, err
	}
	if t.o.FailOn5xx && response.StatusCode >= 500 {
		t.pool.failed(m)
	} else {
		lease.Dialed(nil)
	}
	response.Body = body.wrap(response.Body)
	return response, nil
}

// leasedBody gives the lease back when the body is closed.
type leasedBody struct {
	io.ReadCloser
	request context.Context // ends with the handler
	lease   *Lease
	cancel  context.CancelCauseFunc
	once    sync.Once

	mu    sync.Mutex
	isCut bool
}

func (b *leasedBody) wrap(body io.ReadCloser) io.ReadCloser {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ReadCloser = body
	if b.isCut {
		body.Close()
	}
	if w, ok := body.(io.ReadWriteCloser); ok {
		// ReverseProxy forgets to close an upgrade it refuses.
		context.AfterFunc(b.request, func() { b.Close() })
		return &upgradedBody{leasedBody: b, writer: w}
	}
	return b
}

// cut ends the request. An upgraded connection has left the request's context behind, so it is closed.
func (b *leasedBody) cut() {
	b.cancel(errCut)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.isCut = true
	if w, ok := b.ReadCloser.(io.ReadWriteCloser); ok {
		w.Close()
	}
}

func (b *leasedBody) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(func() {
		b.cancel(nil)
		b.lease.Done()
	})
	return err
}

// upgradedBody is the connection after 101 Switching Protocols.
type upgradedBody struct {
	*leasedBody
	writer io.Writer
}

func (b *upgradedBody) Write(p []byte) (int, error) { return b.writer.Write(p) }

// CloseWrite passes a half-close on, where the connection has it.
func (b *upgradedBody) CloseWrite() error {
	if half, ok := b.writer.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// countedConn is a connection to a target, which ends with the target at the latest.
type countedConn struct {
	net.Conn
	pool   *Pool
	member *member
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.member.bytesOut.Add(uint64(n))
	c.pool.count.bytesOut.Add(uint64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.member.bytesIn.Add(uint64(n))
	c.pool.count.bytesIn.Add(uint64(n))
	return n, err
}

// CloseWrite ends the way to the target only.
func (c *countedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (c *countedConn) Close() error {
	c.member.forget(c)
	return c.Conn.Close()
}
