package server

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// receiver is an OTLP/HTTP collector that keeps the spans it is sent.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*tracepb.Span
	names []string // service names
}

func receive(t *testing.T) *receiver {
	t.Helper()
	c := &receiver{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var req collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &req)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, rs := range req.ResourceSpans {
			for _, a := range rs.Resource.Attributes {
				if a.Key == "service.name" {
					c.names = append(c.names, a.Value.GetStringValue())
				}
			}
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

// chain follows the spans of a trace from its leaf to its root: names, and the id of the root's parent.
func (c *receiver) chain(trace, leaf string) (names []string, parent string) {
	byID := map[string]*tracepb.Span{}
	var at *tracepb.Span
	for _, s := range c.spans {
		if hex.EncodeToString(s.TraceId) == trace {
			byID[string(s.SpanId)] = s
			if s.Name == leaf {
				at = s
			}
		}
	}
	for at != nil {
		names = append(names, at.Name)
		parent = hex.EncodeToString(at.ParentSpanId)
		at = byID[string(at.ParentSpanId)]
	}
	return names, parent
}

func TestOneRequestIsOneTraceDownToTheDisk(t *testing.T) {
	const client = "00f067aa0ba902b7"
	comment, variable := "4bf92f3577b34da6a3ce929d0e0e4736", "5bf92f3577b34da6a3ce929d0e0e4736"
	plain, unsampled := "6bf92f3577b34da6a3ce929d0e0e4736", "7bf92f3577b34da6a3ce929d0e0e4736"
	c := receive(t)
	o := settings(t.TempDir())
	o.OTLP = c.URL
	r := run(t, o)
	pg := r.connect()
	exec(t, pg, "CREATE TABLE t (id int PRIMARY KEY)",
		"/*traceparent='00-"+comment+"-"+client+"-01'*/ INSERT INTO t VALUES (1)",
		"SET bop.traceparent = '00-"+variable+"-"+client+"-01'",
		"INSERT INTO t VALUES (2)",
		"SET bop.traceparent = '00-"+plain+"-"+client+"-01'",
		"BEGIN", "INSERT INTO t VALUES (3)", "COMMIT",
		"SET bop.traceparent = '00-"+unsampled+"-"+client+"-00'",
		"INSERT INTO t VALUES (4)")
	r.stop() // what waits is sent then
	if err := r.ended(); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, want := range []struct{ name, trace, statement string }{
		{"a comment's", comment, "sql INSERT"},
		{"the variable's", variable, "sql INSERT"},
		{"a transaction's", plain, "sql COMMIT"},
	} {
		t.Run(want.name+" trace reaches from the statement to the disk", func(t *testing.T) {
			names, parent := c.chain(want.trace, "raft.append") // what is written and synced
			if len(names) != 4 || names[1] != "raft.propose" || names[2] != "sqlite.commit" || names[3] != want.statement || parent != client {
				t.Errorf("%q under %q", names, parent)
			}
		})
	}
	t.Run("a client that doesn't sample isn't traced", func(t *testing.T) {
		for _, s := range c.spans {
			if hex.EncodeToString(s.TraceId) == unsampled {
				t.Errorf("%s", s.Name)
			}
		}
	})
	t.Run("the service is named", func(t *testing.T) {
		if len(c.names) == 0 || c.names[0] != "bop" {
			t.Errorf("%q", c.names)
		}
	})
}
