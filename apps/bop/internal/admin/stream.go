package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// What takes long is answered by lines of JSON: {"done": 10, "total": 80} now and then, and at the end {"result": …} or
// {"error": "…", "status": 500}. What fails before there is anything to tell has the status that other requests have.

// Progress is told how much of something is done; total may be 0 or change.
type Progress func(done, total int64)

// line is one of them.
type line struct {
	Done   int64           `json:"done,omitempty"`
	Total  int64           `json:"total,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
	Status int             `json:"status,omitempty"`
}

const (
	lineInterval = 250 * time.Millisecond
	// quietInterval is how long a connection stays without a line: something in between may take it for dead.
	quietInterval = 10 * time.Second
)

// stream answers a request with what do returns, and with how far it is until then. The context of do ends when the client
// goes away.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, p Progress) (any, error)) error {
	l := &lines{w: w, last: time.Now()}
	stop := l.begin()
	v, err := do(r.Context(), l.progress)
	stop()
	l.end(v, err)
	return err
}

// lines writes them.
type lines struct {
	w http.ResponseWriter

	mu          sync.Mutex
	done, total int64
	changed     bool
	last        time.Time // when the last was written
	begun       bool
}

func (l *lines) progress(done, total int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done, l.total, l.changed = done, total, true
}

// begin writes a line now and then until stop, which waits for the last.
func (l *lines) begin() (stop func()) {
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(lineInterval)
		defer t.Stop()
		for {
			select {
			case <-ended:
				return
			case <-t.C:
				l.mu.Lock()
				if l.changed || time.Since(l.last) > quietInterval {
					l.write(map[string]int64{"done": l.done, "total": l.total})
				}
				l.mu.Unlock()
			}
		}
	})
	return sync.OnceFunc(func() {
		close(ended)
		wg.Wait()
	})
}

// write is called with mu held. A client that is gone is noticed by the request's context.
func (l *lines) write(v any) {
	if !l.begun {
		l.w.Header().Set("Content-Type", "application/x-ndjson")
		l.w.Header().Set("Cache-Control", "no-store")
		l.begun = true
	}
	l.changed, l.last = false, time.Now()
	if json.NewEncoder(l.w).Encode(v) == nil {
		_ = http.NewResponseController(l.w).Flush()
	}
}

func (l *lines) end(v any, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.write(map[string]any{"result": v})
	case !l.begun:
		fail(l.w, err)
	default:
		l.write(line{Error: err.Error(), Status: statusOf(err)})
	}
}

// stream asks for something that takes long. out gets the result.
func (c *Client) stream(ctx context.Context, method, path string, in any, p Progress, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	body, err := c.ask(ctx, method, path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer body.Close()
	d := json.NewDecoder(body)
	for {
		var l line
		if err := d.Decode(&l); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("the server broke off; its log says why: %w", err)
		}
		switch {
		case l.Error != "":
			return remoteError(l.Status, l.Error)
		case l.Result != nil:
			return json.Unmarshal(l.Result, out)
		case p != nil:
			p(l.Done, l.Total)
		}
	}
}
