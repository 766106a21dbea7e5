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
	"strings"
	"sync"
	"syscall"
	"time"
)

// node is a server of the cluster. It keeps its name, folder and Raft address over restarts.
type node struct {
	name string
	dir  string // its data folder
	raft string
	args []string

	mu       sync.Mutex // guards what follows
	pg, http string
	cmd      *exec.Cmd
	done     chan struct{} // closed when the process has ended
	wanted   bool          // the process is meant to run
	exit     error         // how it ended, once done is closed
}

// servers are the nodes and the links between them.
type servers struct {
	binary string
	nodes  []*node
	links  map[[2]string]*link // by the names of who dials and who is dialled
}

// newServers prepares n nodes with their data below work. None runs yet.
func newServers(binary, work string, n int) (*servers, error) {
	s := &servers{binary: binary, links: map[[2]string]*link{}}
	for i := range n {
		addr, err := freeAddress()
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("n%d", i+1)
		s.nodes = append(s.nodes, &node{name: name, dir: filepath.Join(work, name), raft: addr})
	}
	for _, from := range s.nodes {
		if err := os.MkdirAll(from.dir, 0o700); err != nil {
			return nil, err
		}
		from.args = []string{"serve", "--data-dir", from.dir, "--node", from.name, "--pg", "127.0.0.1:0", "--mysql", "off", "--http", "127.0.0.1:0", "--log-level", "info"}
		if n == 1 {
			break
		}
		members := []string{from.name + "=" + from.raft}
		for _, to := range s.nodes {
			if to == from {
				continue
			}
			k, err := newLink(from.name+"→"+to.name, to.raft)
			if err != nil {
				return nil, err
			}
			s.links[[2]string{from.name, to.name}] = k
			members = append(members, to.name+"="+k.addr())
		}
		from.args = append(from.args, "--raft", from.raft, "--initial-cluster", strings.Join(members, ","))
	}
	return s, nil
}

// freeAddress is one of loopback that was free a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// startAll starts all nodes at once: none is ready before a majority runs.
func (s *servers) startAll(ctx context.Context) error {
	errs := make([]error, len(s.nodes))
	var wg sync.WaitGroup
	for i, n := range s.nodes {
		wg.Go(func() { errs[i] = n.start(ctx, s.binary) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// heal lets everything pass on all links.
func (s *servers) heal() {
	for _, k := range s.links {
		k.set(weather{})
	}
}

// close kills what runs and closes the links.
func (s *servers) close() {
	for _, n := range s.nodes {
		n.kill()
	}
	for _, k := range s.links {
		k.close()
	}
}

// start starts the server and waits until it says where it listens.
func (n *node) start(ctx context.Context, binary string) error {
	log, err := os.OpenFile(n.dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(binary, n.args...)
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", n.name, err)
	}
	done, line := make(chan struct{}), make(chan []byte, 1)
	n.mu.Lock()
	n.cmd, n.done, n.wanted = cmd, done, true
	n.mu.Unlock()
	go func() {
		r := bufio.NewReader(stdout)
		first, _ := r.ReadBytes('\n')
		line <- first
		io.Copy(io.Discard, r)
		err := cmd.Wait()
		n.mu.Lock()
		n.exit = err
		n.mu.Unlock()
		close(done)
	}()
	select {
	case first := <-line:
		var at struct{ PG, HTTP string }
		if err := json.Unmarshal(first, &at); err != nil {
			return fmt.Errorf("%s did not print its addresses but %q; see %s.log", n.name, first, n.dir)
		}
		n.mu.Lock()
		n.pg, n.http = at.PG, at.HTTP
		n.mu.Unlock()
		return nil
	case <-ctx.Done():
		n.kill()
		return fmt.Errorf("waiting for %s to listen: %w; see %s.log", n.name, ctx.Err(), n.dir)
	}
}

// kill ends the server with SIGKILL, if it runs, and waits until it is gone.
func (n *node) kill() {
	n.mu.Lock()
	cmd, done := n.cmd, n.done
	n.wanted = false
	n.mu.Unlock()
	if cmd != nil {
		cmd.Process.Kill()
		<-done
	}
}

func (n *node) signal(s syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cmd.Process.Signal(s)
}

// ended returns an error if the server is gone though this command didn't kill it.
func (n *node) ended() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.done:
		if n.wanted {
			return fmt.Errorf("%s ended, and not by our hand: %w; see %s.log", n.name, n.exit, n.dir)
		}
	default:
	}
	return nil
}

// addresses returns where clients connect.
func (n *node) addresses() (pg, http string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pg, n.http
}

// standing is what a node says of itself and of the cluster.
type standing struct {
	Leader   string `json:"leader"`
	Term     uint64 `json:"term"`
	Commit   uint64 `json:"commit"`
	Applied  uint64 `json:"applied"`
	Writable bool   `json:"writable"`
	Reason   string `json:"reason"`
}

// standing asks the node what it knows itself, without the leader's help.
func (n *node) standing(ctx context.Context) (s standing, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	body, err := n.get(ctx, "/v1/cluster?local=1")
	if err != nil {
		return s, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&s); err != nil {
		return s, fmt.Errorf("the status of %s: %w", n.name, err)
	}
	return s, nil
}

// get asks the node's admin API. The caller closes what is returned.
func (n *node) get(ctx context.Context, path string) (io.ReadCloser, error) {
	_, addr := n.addresses()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.name, err)
	}
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 500))
		res.Body.Close()
		return nil, fmt.Errorf("%s: GET %s: %s: %s", n.name, path, res.Status, text)
	}
	return res.Body, nil
}

// leader is the node that believes to lead in the newest term, nil if none says so.
func (s *servers) leader(ctx context.Context) *node {
	var found *node
	var term uint64
	for _, n := range s.nodes {
		if at, err := n.standing(ctx); err == nil && at.Leader == n.name && at.Term >= term {
			found, term = n, at.Term
		}
	}
	return found
}
