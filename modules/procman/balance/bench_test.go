package balance

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Each has direct, which is the same without the balancer between.

func BenchmarkConnections(b *testing.B) {
	target := newBackend(b, echo)
	p := newPool(b, PoolOptions{}, target.target("a"))
	for name, address := range map[string]string{"direct": target.ln.Addr().String(), "balanced": listen(b, p, Options{}).Addr().String()} {
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				buf := make([]byte, 1)
				for pb.Next() {
					c, err := net.Dial("tcp", address)
					if err != nil {
						b.Error(err)
						return
					}
					c.Write(buf)
					if _, err := io.ReadFull(c, buf); err != nil {
						b.Error(err)
					}
					c.Close()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "conns/s")
		})
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	target := newBackend(b, echo)
	p := newPool(b, PoolOptions{}, target.target("a"))
	for name, address := range map[string]string{"direct": target.ln.Addr().String(), "balanced": listen(b, p, Options{}).Addr().String()} {
		b.Run(name, func(b *testing.B) {
			c, err := net.Dial("tcp", address)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			buf := make([]byte, 64)
			for b.Loop() {
				c.Write(buf)
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkThroughput moves 64 MiB a time from the target to the client.
func BenchmarkThroughput(b *testing.B) {
	const size = 64 << 20
	block := make([]byte, 256<<10)
	target := newBackend(b, func(c net.Conn) {
		for range size / len(block) {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	})
	p := newPool(b, PoolOptions{}, target.target("a"))
	for _, test := range []struct{ name, address string }{
		{"direct", target.ln.Addr().String()},
		{"balanced", listen(b, p, Options{}).Addr().String()},
		{"balanced-idle-timeout", listen(b, p, Options{IdleTimeout: 60e9}).Addr().String()},
	} {
		b.Run(test.name, func(b *testing.B) {
			b.SetBytes(size)
			buf := make([]byte, 256<<10)
			for b.Loop() {
				c, err := net.Dial("tcp", test.address)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, buf)
				if n != size || err != nil {
					b.Fatal(n, err)
				}
				c.Close()
			}
		})
	}
}

func BenchmarkHTTP(b *testing.B) {
	target := httptest.NewServer(say("hello"))
	b.Cleanup(target.Close)
	p := newPool(b, PoolOptions{}, Target{ID: "a", Address: target.Listener.Addr().String()})
	for _, test := range []struct{ name, url string }{{"direct", target.URL}, {"balanced", front(b, p, HTTPOptions{}).URL}} {
		b.Run(test.name, func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			defer client.CloseIdleConnections()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r, err := client.Get(test.url)
					if err != nil {
						b.Error(err)
						return
					}
					io.Copy(io.Discard, r.Body)
					r.Body.Close()
				}
			})
		})
	}
}

func BenchmarkPick(b *testing.B) {
	p := newPool(b, PoolOptions{}, Target{ID: "a"}, Target{ID: "b"}, Target{ID: "c"}, Target{ID: "d"})
	for _, policy := range []Policy{RoundRobin, LeastConnections} {
		b.Run(policy.String(), func(b *testing.B) {
			for b.Loop() {
				l, err := p.Pick(policy)
				if err != nil {
					b.Fatal(err)
				}
				l.Done()
			}
		})
	}
}
