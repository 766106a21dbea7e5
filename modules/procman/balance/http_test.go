package balance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// replica is a HTTP server as a target.
func replica(t testing.TB, id string, h http.HandlerFunc) Target {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return Target{ID: id, Address: s.Listener.Addr().String()}
}

// front serves the handler of a pool. Its client keeps no connection open after the test.
func front(t testing.TB, p *Pool, o HTTPOptions) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(HTTP(p, o))
	t.Cleanup(s.Close)
	return s
}

func body(t testing.TB, r *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func say(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }
}

func TestHTTPTakesTurns(t *testing.T) {
	leavesNothing(t)
	p := newPool(t, PoolOptions{}, replica(t, "a", say("a")), replica(t, "b", say("b")))
	s := front(t, p, HTTPOptions{})
	var all strings.Builder
	for range 6 {
		r, err := s.Client().Get(s.URL)
		all.WriteString(body(t, r, err))
	}
	if all.String() != "ababab" {
		t.Error(all.String())
	}
	eventually(t, "nothing is active", func() bool { return p.Stats().Active == 0 && targetStats(p, "a").Active == 0 })
	if st := p.Stats(); st.Accepted != 6 || st.BytesIn == 0 || st.BytesOut == 0 {
		t.Errorf("%+v", st)
	}
}

func TestHTTPHeaders(t *testing.T) {
	target := replica(t, "a", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "for=%s proto=%s host=%s Host=%s query=%s", r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"),
			r.Header.Get("X-Forwarded-Host"), r.Host, r.URL.RawQuery)
	})
	for _, test := range []struct {
		name  string
		trust bool
		want  string
	}{
		{"what a client claims is dropped", false, "for=127.0.0.1 proto=http host=shop.example Host=shop.example query=a;b&c=%zz"},
		{"what a trusted proxy tells is kept", true, "for=9.9.9.9, 127.0.0.1 proto=https host=public.example Host=shop.example query=a;b&c=%zz"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := front(t, newPool(t, PoolOptions{}, target), HTTPOptions{TrustForwarded: test.trust})
			r, _ := http.NewRequest("GET", s.URL+"/?a;b&c=%zz", nil)
			r.Host = "shop.example"
			r.Header.Set("X-Forwarded-For", "9.9.9.9")
			r.Header.Set("X-Forwarded-Proto", "https")
			r.Header.Set("X-Forwarded-Host", "public.example")
			res, err := s.Client().Do(r)
			if got := body(t, res, err); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestHTTPRetriesARefusedRequestOnlyWhenItDoesNoHarm(t *testing.T) {
	for _, test := range []struct {
		method, body string
		want         int
	}{
		{"GET", "", 200}, {"HEAD", "", 200}, {"DELETE", "", 200}, {"PUT", "", 200},
		{"POST", "", 502}, {"POST", "x", 502}, {"PUT", "x", 502}, {"PATCH", "", 502},
	} {
		t.Run(fmt.Sprintf("%s with body %q", test.method, test.body), func(t *testing.T) {
			var served atomic.Int64
			alive := replica(t, "alive", func(http.ResponseWriter, *http.Request) { served.Add(1) })
			p := newPool(t, PoolOptions{}, Target{ID: "dead", Address: deadAddress(t)}, alive)
			s := front(t, p, HTTPOptions{})
			r, _ := http.NewRequest(test.method, s.URL, strings.NewReader(test.body))
			res, err := s.Client().Do(r)
			text := body(t, res, err)
			if res.StatusCode != test.want || served.Load() != int64(map[int]int{200: 1}[test.want]) {
				t.Errorf("%d %q, served %d times", res.StatusCode, text, served.Load())
			}
			if st := targetStats(p, "dead"); st.Failures != 1 {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestHTTPErrors(t *testing.T) {
	release := make(chan struct{})
	slow := replica(t, "slow", func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	breaks := replica(t, "breaks", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, test := range []struct {
		name    string
		targets []Target
		o       HTTPOptions
		status  int
		text    string
		retry   string
	}{
		{"no target", nil, HTTPOptions{Wait: -1, RetryAfter: 1500 * time.Millisecond}, 503, "503 Service Unavailable: no target is ready\n", "2"},
		{"no target in time", nil, HTTPOptions{Wait: time.Millisecond}, 503, "503 Service Unavailable: no target is ready\n", "1"},
		{"all refuse", []Target{{ID: "a", Address: deadAddress(t)}}, HTTPOptions{}, 502, "502 Bad Gateway: no target could be reached\n", ""},
		{"the target breaks", []Target{breaks}, HTTPOptions{}, 502, "502 Bad Gateway: the target broke the connection\n", ""},
		{"the target is slow", []Target{slow}, HTTPOptions{HeaderTimeout: 20 * time.Millisecond}, 504, "504 Gateway Timeout: the target was too slow\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPool(t, PoolOptions{}, test.targets...)
			s := front(t, p, test.o)
			r, err := s.Client().Get(s.URL)
			text := body(t, r, err)
			if r.StatusCode != test.status || text != test.text || r.Header.Get("Retry-After") != test.retry {
				t.Errorf("%d %q, Retry-After %q", r.StatusCode, text, r.Header.Get("Retry-After"))
			}
			eventually(t, "nothing is active", func() bool { return p.Stats().Active == 0 })
		})
	}
}

func TestHTTPFailOn5xx(t *testing.T) {
	sick := replica(t, "sick", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	for _, on := range []bool{false, true} {
		t.Run(fmt.Sprintf("set to %v", on), func(t *testing.T) {
			p := newPool(t, PoolOptions{Now: newClock().Now}, sick, replica(t, "well", say("well")))
			s := front(t, p, HTTPOptions{FailOn5xx: on})
			for range 10 {
				r, err := s.Client().Get(s.URL)
				body(t, r, err)
			}
			if st := targetStats(p, "sick"); st.Ejected != on || (st.Total == 3) != on {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestHTTPServerSentEventsAreFlushedAtOnce(t *testing.T) {
	next := make(chan struct{})
	target := replica(t, "a", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n", i)
			w.(http.Flusher).Flush()
			<-next
		}
	})
	s := front(t, newPool(t, PoolOptions{}, target), HTTPOptions{})
	r, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	for i := range 3 { // each comes before the target is let go on
		if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d", i) {
			t.Fatal(lines.Text(), lines.Err())
		}
		next <- struct{}{}
	}
}

// upgradeEcho answers an upgrade and echoes.
func upgradeEcho(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "websocket")
	w.WriteHeader(http.StatusSwitchingProtocols)
	c, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	io.Copy(c, rw)
}

// upgrade asks for one and returns the connection after it.
func upgrade(t *testing.T, s *httptest.Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	in := bufio.NewReader(c)
	r, err := http.ReadResponse(in, nil)
	if err != nil || r.StatusCode != 101 {
		t.Fatal(r, err)
	}
	return c, in
}

func TestHTTPUpgrade(t *testing.T) {
	leavesNothing(t)
	p := newPool(t, PoolOptions{}, replica(t, "a", upgradeEcho))
	s := front(t, p, HTTPOptions{})
	t.Run("echoes both ways", func(t *testing.T) {
		c, in := upgrade(t, s)
		for i := range 3 {
			fmt.Fprintf(c, "message %d\n", i)
			if line, err := in.ReadString('\n'); err != nil || line != fmt.Sprintf("message %d\n", i) {
				t.Fatal(line, err)
			}
		}
		if n := targetStats(p, "a").Active; n != 1 {
			t.Errorf("active: %d", n)
		}
		c.Close()
		eventually(t, "it isn't active any more", func() bool { return targetStats(p, "a").Active == 0 })
	})
	t.Run("is cut by the drain deadline", func(t *testing.T) {
		_, in := upgrade(t, s)
		var cut *CutError
		if err := p.Drain(ended(), "a"); !errors.As(err, &cut) || cut.Cut != 1 {
			t.Fatal(err)
		}
		if _, err := in.ReadByte(); err == nil {
			t.Error("it goes on")
		}
		eventually(t, "the target is gone", func() bool { return len(p.Stats().Targets) == 0 })
	})
}

func TestHTTPAnUpgradeThatIsRefusedLeavesNoLease(t *testing.T) {
	target := replica(t, "a", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "something else")
		w.WriteHeader(http.StatusSwitchingProtocols)
	})
	p := newPool(t, PoolOptions{}, target)
	s := front(t, p, HTTPOptions{})
	r, _ := http.NewRequest("GET", s.URL, nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	res, err := s.Client().Do(r)
	if body(t, res, err); res.StatusCode != 502 {
		t.Error(res.Status)
	}
	eventually(t, "nothing is leased", func() bool { return targetStats(p, "a").Active == 0 })
}

func TestHTTPACancelledRequestIsCancelledAtTheTarget(t *testing.T) {
	leavesNothing(t)
	began, cancelled := make(chan struct{}), make(chan struct{})
	target := replica(t, "a", func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(cancelled)
	})
	p := newPool(t, PoolOptions{}, target)
	s := front(t, p, HTTPOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	r, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
	go func() { <-began; cancel() }()
	if _, err := s.Client().Do(r); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-cancelled
	eventually(t, "nothing is active", func() bool { return targetStats(p, "a").Active == 0 })
	if n := targetStats(p, "a").Failures; n != 0 {
		t.Error("the client's cancel is held against the target")
	}
}

func TestHTTPADrainCutsARequestThatIsTooLong(t *testing.T) {
	began := make(chan struct{})
	target := replica(t, "a", func(_ http.ResponseWriter, r *http.Request) { close(began); <-r.Context().Done() })
	p := newPool(t, PoolOptions{}, target)
	s := front(t, p, HTTPOptions{})
	go func() { <-began; p.Drain(ended(), "a") }()
	r, err := s.Client().Get(s.URL)
	if text := body(t, r, err); r.StatusCode != 503 || !strings.Contains(text, "taken out") {
		t.Error(r.StatusCode, text)
	}
}

func TestHTTPARequestIsHeldUntilATargetIsReady(t *testing.T) {
	p := newPool(t, PoolOptions{})
	s := front(t, p, HTTPOptions{Wait: 20 * time.Second})
	target := replica(t, "a", say("ready"))
	go func() {
		for p.Stats().Active == 0 {
			time.Sleep(time.Millisecond)
		}
		p.Set([]Target{target})
	}()
	r, err := s.Client().Get(s.URL)
	if got := body(t, r, err); got != "ready" {
		t.Error(got)
	}
}
