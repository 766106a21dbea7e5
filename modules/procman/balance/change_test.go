package balance

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// The targets change all the time, but one of them is always there. Old and new members share addresses.
func TestNoRequestFailsWhileTargetsChange(t *testing.T) {
	leavesNothing(t)
	const changes, clients = 1000, 64
	var targets []Target
	for i := range 4 {
		targets = append(targets, replica(t, fmt.Sprint("h", i), say("fine")))
	}
	echoes := make([]Target, 4)
	for i := range echoes {
		echoes[i] = newBackend(t, echo).target(fmt.Sprint("t", i))
	}
	web, tcp := newPool(t, PoolOptions{}, targets...), newPool(t, PoolOptions{}, echoes...)
	s := front(t, web, HTTPOptions{Policy: LeastConnections})
	l := listen(t, tcp, Options{})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	t.Cleanup(client.CloseIdleConnections)

	var stop atomic.Bool
	var served atomic.Int64
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for !stop.Load() && !t.Failed() {
				if i%2 == 0 {
					r, err := client.Post(s.URL, "text/plain", strings.NewReader("x"))
					if err != nil {
						t.Error(err)
						return
					}
					b, err := io.ReadAll(r.Body)
					r.Body.Close()
					if string(b) != "fine" || err != nil {
						t.Errorf("%s %q %v", r.Status, b, err)
					}
				} else if err := echoOnce(l); err != nil {
					t.Error(err)
				}
				served.Add(1)
			}
		})
	}
	for i := range changes {
		from := served.Load()
		// 1 to 3 of 4, moving, so that each comes and goes; the weight changes too.
		var some, someTCP []Target
		for j := range 1 + i%3 {
			k := (i + j) % 4
			targets[k].Weight, echoes[k].Weight = 1+i%5, 1+i%5
			some, someTCP = append(some, targets[k]), append(someTCP, echoes[k])
		}
		web.Set(some)
		tcp.Set(someTCP)
		if i%7 == 0 {
			go web.Drain(context.Background(), targets[(i+3)%4].ID)
			web.Stats()
		}
		eventually(t, "something is served in between", func() bool { return served.Load() > from || t.Failed() })
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d served", served.Load())
	for _, p := range []*Pool{web, tcp} {
		if st := p.Stats(); st.Failed+st.Unserved+st.Cut != 0 {
			t.Errorf("%+v", st)
		}
	}
}

func echoOnce(l *Listener) error {
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	io.WriteString(c, "hello")
	c.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(c); string(b) != "hello" || err != nil {
		return fmt.Errorf("%q: %w", b, err)
	}
	return nil
}
