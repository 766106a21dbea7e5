// Package s3proxy is a proxy in front of an S3 server that breaks what goes through it as a test says.
//
//	p := s3proxy.New("http://127.0.0.1:9000")
//	defer p.Close()
//	storm := p.Add(s3proxy.Fault{SlowDown: true, Chance: 0.3, To: 2 * time.Second})
//	p.Add(s3proxy.Fault{Op: "complete", Lose: true, Times: 1})
//	… s3store.Options{Endpoint: p.URL()} …
//	storm.Remove()
//
// It knows buckets by their path (http://host/bucket/key), not by the host's name. The Host of a request is left as it
// is, so that signatures stay valid. Faults may be added and removed at any time; more than one may meet a request.
//
// Go's HTTP client sends a GET or HEAD whose connection is reset before an answer comes once more by itself, if the
// connection had been used before: an Outage or a Lose of one such request may not be seen.
package s3proxy
