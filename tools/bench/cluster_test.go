package main

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestMetricsAreAddedUp(t *testing.T) {
	const text = `# HELP bop_raft_transport_bytes_total Bytes to and from peers, without what TLS and TCP add.
# TYPE bop_raft_transport_bytes_total counter
bop_raft_transport_bytes_total{class="heartbeats",direction="out",node="1",otel_scope_name="x"} 7
bop_raft_transport_bytes_total{class="messages",direction="in",node="1",otel_scope_name="x"} 11
bop_raft_transport_bytes_total{class="messages",direction="out",node="1",otel_scope_name="x"} 1.5e+03
bop_raft_transport_bytes_total{direction="out",class="messages",node="2"} 2000 1700000000
bop_raft_transport_bytes_totals{class="messages",direction="out"} 9
up 1
`
	for _, c := range []struct {
		name   string
		metric string
		labels []string
		want   float64
		err    error
	}{
		{"series with all labels count", "bop_raft_transport_bytes_total", []string{`class="messages"`, `direction="out"`}, 3500, nil},
		{"a label alone", "bop_raft_transport_bytes_total", []string{`direction="out"`}, 3507, nil},
		{"a label's name has to be whole", "bop_raft_transport_bytes_total", []string{`ode="1"`}, 0, errNoMetric},
		{"a figure that isn't told", "bop_raft_transport_bytes", nil, 0, errNoMetric},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := sumMetric(strings.NewReader(text), c.metric, c.labels...)
			if got != c.want || !errors.Is(err, c.err) {
				t.Fatalf("%v, %v", got, err)
			}
		})
	}
}

func TestAClusterIsSettledWhenAllHaveWhatWasCommitted(t *testing.T) {
	const text = `{"leader":"n2","term":3,"commit":900,"writable":true,"reason":"","nodes":[
		{"id":"n1","raft":"127.0.0.1:1","role":"follower","match":900,"reachable":true},
		{"id":"n2","raft":"127.0.0.1:2","role":"leader","match":0,"reachable":true},
		{"id":"n3","raft":"127.0.0.1:3","role":"follower","match":800,"reachable":true}]}`
	for _, c := range []struct {
		name   string
		asked  string
		commit uint64
		change func(*clusterStatus)
		want   bool
	}{
		{"all have it", "n2", 900, func(*clusterStatus) {}, true},
		{"one is behind", "n2", 901, func(*clusterStatus) {}, false},
		{"a follower was asked", "n1", 900, func(*clusterStatus) {}, false},
		{"one can't be reached", "n2", 900, func(s *clusterStatus) { s.Nodes[0].Reachable = false }, false},
		{"nothing can be written", "n2", 900, func(s *clusterStatus) { s.Writable = false }, false},
		{"one isn't listed", "n2", 900, func(s *clusterStatus) { s.Nodes = s.Nodes[:2] }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s clusterStatus
			if err := json.Unmarshal([]byte(text), &s); err != nil {
				t.Fatal(err)
			}
			c.change(&s)
			if got := s.settled(c.asked, c.commit); got != c.want {
				t.Fatalf("settled: %v", got)
			}
		})
	}
}

func TestOnlyErrorsThatSayNothingLeaveAnOutcomeUnknown(t *testing.T) {
	w := &writers{}
	w.note(1, nil)
	w.note(2, &pgconn.PgError{Code: "25006"})
	w.note(3, &pgconn.PgError{Code: "40003"})
	w.note(4, io.ErrUnexpectedEOF)
	if !slices.Equal(w.acknowledged, []int64{1}) || !slices.Equal(w.unknown, []int64{3, 4}) {
		t.Fatalf("acknowledged %v, unknown %v", w.acknowledged, w.unknown)
	}
}

func TestRowsAreComparedWithWhatClientsWereTold(t *testing.T) {
	w := &writers{acknowledged: []int64{1, 2, 4}, unknown: []int64{3}}
	for _, c := range []struct {
		name string
		kept []int64
		lost bool
	}{
		{"what was acknowledged", []int64{1, 2, 4}, false},
		{"and what had an unknown outcome", []int64{1, 2, 3, 4}, false},
		{"an acknowledged row is missing", []int64{1, 3, 4}, true},
		{"a row is there twice", []int64{1, 2, 2, 4}, true},
		{"a row that nobody inserted", []int64{1, 2, 4, 5}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := w.compare(c.kept); errors.Is(err, errLost) != c.lost {
				t.Fatal(err)
			}
		})
	}
}
