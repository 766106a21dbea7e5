package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bop-platform/bop/tools/internal/process"
)

// cluster is three bop servers that replicate to each other.
type cluster struct {
	binary string
	nodes  []*clusterNode
}

// clusterNode is one server. bop is nil while it doesn't run.
type clusterNode struct {
	id, dir, raft string
	bop           *process.Bop
}

// clusterStatus is what `bop cluster status --json` prints.
type clusterStatus struct {
	Leader   string
	Term     uint64
	Commit   uint64
	Writable bool
	Reason   string // why it isn't writable
	Nodes    []struct {
		ID        string
		Raft      string
		Role      string
		Match     uint64
		Reachable bool
	}
}

// startCluster starts three servers with their data in folders below dir and waits until one leads.
func startCluster(ctx context.Context, binary, dir string) (*cluster, error) {
	ports, err := freeAddresses(replicaCount)
	if err != nil {
		return nil, err
	}
	c := &cluster{binary: binary}
	for i, address := range ports {
		id := "n" + strconv.Itoa(i+1)
		c.nodes = append(c.nodes, &clusterNode{id: id, dir: filepath.Join(dir, id), raft: address})
	}
	var wg sync.WaitGroup
	errs := make([]error, len(c.nodes))
	for i, n := range c.nodes { // none is ready before a second one is there
		wg.Go(func() { errs[i] = c.start(ctx, n) })
	}
	wg.Wait()
	err = errors.Join(errs...)
	if err == nil {
		_, err = c.settled(ctx)
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, c.logs())
		c.kill()
		return nil, err
	}
	return c, nil
}

// start starts a server that doesn't run, with the data that it has.
func (c *cluster) start(ctx context.Context, n *clusterNode) error {
	var initial []string
	for _, other := range c.nodes {
		initial = append(initial, other.id+"="+other.raft)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	b, err := process.StartBop(ctx, c.binary, n.dir, "--mysql", "off", "--log-level", "warn",
		"--node", n.id, "--raft", n.raft, "--initial-cluster", strings.Join(initial, ","))
	if err != nil {
		return fmt.Errorf("starting server %s: %w", n.id, err)
	}
	n.bop = b
	return nil
}

// kill ends all servers with SIGKILL.
func (c *cluster) kill() {
	for _, n := range c.nodes {
		if n.bop != nil {
			n.bop.Kill()
			n.bop = nil
		}
	}
}

// urls are those of the servers that run.
func (c *cluster) urls() (all []string) {
	for _, n := range c.nodes {
		if n.bop != nil {
			all = append(all, n.url())
		}
	}
	return all
}

func (n *clusterNode) url() string { return "postgres://bop@" + n.bop.PG + "/bop?sslmode=disable" }

func (c *cluster) node(id string) *clusterNode {
	for _, n := range c.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

// status asks a server how the cluster is.
func (c *cluster) status(ctx context.Context, n *clusterNode) (clusterStatus, error) {
	cmd := exec.CommandContext(ctx, c.binary, "cluster", "status", "--http", n.bop.HTTP, "--json")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return clusterStatus{}, fmt.Errorf("%s: %w: %s", cmd, err, strings.TrimSpace(stderr.String()))
	}
	var s clusterStatus
	if err := json.Unmarshal(out, &s); err != nil {
		return clusterStatus{}, fmt.Errorf("%s printed %q: %w", cmd, out, err)
	}
	return s, nil
}

// settledLag is how many entries a server may be behind that counts as caught up: what a leader tells of the others is a
// little old when nothing is written.
const settledLag = 100

// settled waits until a leader takes writes and all servers have about what was committed when it was asked first. It
// returns the leader.
func (c *cluster) settled(ctx context.Context) (*clusterNode, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	ask, commit := c.nodes[0], uint64(0)
	for {
		s, err := c.status(ctx, ask)
		if err == nil {
			if leader := c.node(s.Leader); leader != nil {
				ask = leader // who knows how far the others are
			}
			if commit == 0 {
				commit = s.Commit
			}
			if s.settled(ask.id, commit) {
				return ask, nil
			}
			err = fmt.Errorf("the cluster is %+v", s)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for a leader with two followers: %w: %w", context.Cause(ctx), err)
		}
	}
}

// settled says whether the server that was asked leads and all have about everything up to commit.
func (s clusterStatus) settled(asked string, commit uint64) bool {
	if !s.Writable || s.Leader != asked || len(s.Nodes) != replicaCount {
		return false
	}
	for _, n := range s.Nodes {
		if n.ID != s.Leader && (!n.Reachable || n.Match+settledLag < commit) {
			return false
		}
	}
	return true
}

// sentBytes is how much a server has sent to its peers for its log, on the wire.
func (n *clusterNode) sentBytes(ctx context.Context) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.bop.HTTP+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("reading the metrics of %s: %w", n.id, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("reading the metrics of %s: %s", n.id, res.Status)
	}
	return sumMetric(res.Body, "bop_raft_transport_bytes_total", `class="messages"`, `direction="out"`)
}

// errNoMetric: a server doesn't tell a figure.
var errNoMetric = errors.New("the metric isn't there")

// sumMetric adds up a metric's values in Prometheus' text, of the series that have all labels.
func sumMetric(r io.Reader, name string, labels ...string) (sum float64, err error) {
	found := false
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
next:
	for lines.Scan() {
		series, value, ok := strings.Cut(lines.Text(), "} ")
		if !ok || !strings.HasPrefix(series, name+"{") {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(series, "{"+l) && !strings.Contains(series, ","+l) {
				continue next
			}
		}
		number, _, _ := strings.Cut(value, " ") // a time may follow
		v, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum, found = sum+v, true
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("%w: %s with %s", errNoMetric, name, strings.Join(labels, ", "))
	}
	return sum, nil
}

// freeAddresses returns addresses of loopback that were free a moment ago, all different.
func freeAddresses(n int) (all []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all, nil
}

// clusterDir makes a folder with one for each server.
func clusterDir() (string, error) {
	dir, err := os.MkdirTemp("", "bop-bench-")
	if err != nil {
		return "", err
	}
	for i := range replicaCount {
		if err := os.Mkdir(filepath.Join(dir, "n"+strconv.Itoa(i+1)), 0o700); err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
	}
	return dir, nil
}

// logs are the ends of what the servers that run have logged.
func (c *cluster) logs() string {
	var all strings.Builder
	for _, n := range c.nodes {
		if n.bop != nil {
			fmt.Fprintf(&all, "--- %s\n%s", n.id, n.bop.Log())
		}
	}
	return all.String()
}
