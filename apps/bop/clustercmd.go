package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/apps/bop/internal/cluster"
)

type clusterCmd struct {
	Status   clusterStatusCmd   `cmd:"" help:"Show the nodes, who leads, and whether writes can be made."`
	Add      clusterAddCmd      `cmd:"" help:"Add a node that waits to be taken in."`
	Remove   clusterRemoveCmd   `cmd:"" help:"Remove a node."`
	Promote  clusterPromoteCmd  `cmd:"" help:"Make a learner a voter."`
	Transfer clusterTransferCmd `cmd:"" help:"Hand leadership over."`
	Rescue   clusterRescueCmd   `cmd:"" help:"Go on with one node when a majority is lost for good."`
}

type clusterStatusCmd struct {
	remoteFlags
	Wait time.Duration `name:"wait" placeholder:"DURATION" help:"Wait until writes can be made and every node is reachable and has what was committed when the wait began; fail if that takes longer."`
}

func (c *clusterStatusCmd) Help() string {
	return `Any node can be asked: it asks the leader, or tells what it knows itself if there is none.

Example, between the restarts of two nodes:
  bop cluster status --http 127.0.0.1:7070 --wait 1m`
}

func (c *clusterStatusCmd) Run(ctx context.Context, e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	look := c.look
	if c.Wait > 0 {
		look = c.settle
	}
	text, s, err := look(ctx, client)
	if s != nil {
		err = errors.Join(c.print(e, text, s), err)
	}
	return err
}

func (c *clusterStatusCmd) look(ctx context.Context, client *admin.Client) ([]byte, *cluster.Status, error) {
	text, err := client.Cluster(ctx)
	if err != nil {
		return nil, nil, err
	}
	var s cluster.Status
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, nil, fmt.Errorf("reading the server's answer: %w", err)
	}
	return text, &s, nil
}

// settle looks again and again until the cluster is whole, and returns what it saw last. A server that can't be asked may
// be starting.
func (c *clusterStatusCmd) settle(ctx context.Context, client *admin.Client) (text []byte, s *cluster.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	var goal uint64 // what every node has to have
	for {
		t, now, err := c.look(ctx, client)
		if err == nil {
			text, s = t, now
			if goal == 0 && s.Writable {
				goal = s.Commit
			}
			err = s.Settled(goal)
		}
		if err == nil {
			return text, s, nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return text, s, fmt.Errorf("not after %v: %w", c.Wait, err)
		}
	}
}

func (c *clusterStatusCmd) print(e *env, text []byte, s *cluster.Status) error {
	if c.JSON {
		_, err := e.out.Write(text)
		return err
	}
	w := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tROLE\tREACHABLE\tLAG\tRAFT\tPG\tMYSQL\tHTTP")
	for _, n := range s.Nodes {
		reachable := "yes"
		if !n.Reachable {
			reachable = "no"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", n.ID, n.Role, reachable, n.Lag, n.Raft, n.PG, n.MySQL, n.HTTP)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if s.Writable {
		_, err := fmt.Fprintf(e.out, "\nWrites go to %s (term %d, committed up to %d).\n", s.Leader, s.Term, s.Commit)
		return err
	}
	_, err := fmt.Fprintf(e.out, "\nWrites are unavailable: %s.\n", s.Reason)
	return err
}

type clusterAddCmd struct {
	remoteFlags
	Name    string `arg:"" help:"Name of the node."`
	Raft    string `arg:"" help:"Its --raft address."`
	Learner bool   `help:"It gets everything and never votes, until it is promoted."`
}

func (c *clusterAddCmd) Help() string {
	return `A node that is started with --join is added without this command. It returns when the node votes.

Example:
  bop cluster add n4 10.0.0.4:7071 --learner`
}

func (c *clusterAddCmd) Run(ctx context.Context, e *env) error {
	return c.change(ctx, e, http.MethodPost, "/nodes/"+url.PathEscape(c.Name), map[string]any{"raft": c.Raft, "learner": c.Learner}, "added "+c.Name)
}

type clusterRemoveCmd struct {
	remoteFlags
	Name string `arg:"" help:"Name of the node."`
}

func (c *clusterRemoveCmd) Help() string {
	return `The node's data stays where it is; to take it back, delete its folder and start it with --join.

Example:
  bop cluster remove n3`
}

func (c *clusterRemoveCmd) Run(ctx context.Context, e *env) error {
	return c.change(ctx, e, http.MethodDelete, "/nodes/"+url.PathEscape(c.Name), struct{}{}, "removed "+c.Name)
}

type clusterPromoteCmd struct {
	remoteFlags
	Name string `arg:"" help:"Name of the node."`
}

func (c *clusterPromoteCmd) Help() string { return "Example:\n  bop cluster promote n4" }

func (c *clusterPromoteCmd) Run(ctx context.Context, e *env) error {
	return c.change(ctx, e, http.MethodPost, "/nodes/"+url.PathEscape(c.Name)+"/promote", struct{}{}, "promoted "+c.Name)
}

type clusterTransferCmd struct {
	remoteFlags
	To string `arg:"" optional:"" help:"Name of the node. Default: the one that is furthest."`
}

func (c *clusterTransferCmd) Help() string {
	return `Before a leader is stopped for maintenance. bop serve does it by itself when it is told to stop.

Example:
  bop cluster transfer n2`
}

func (c *clusterTransferCmd) Run(ctx context.Context, e *env) error {
	return c.change(ctx, e, http.MethodPost, "/transfer", map[string]string{"to": c.To}, "leadership was handed over")
}

type clusterRescueCmd struct {
	DataDir string `name:"data-dir" env:"BOP_DATA_DIR" default:"bop-data" placeholder:"DIR" help:"Data folder of the node to go on with. Its server must be stopped."`
	Yes     bool   `name:"yes" help:"Don't ask."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

func (c *clusterRescueCmd) Help() string {
	return `The node becomes a cluster of its own that other nodes can join. Everything in its log counts as committed. What the
lost nodes alone had is lost, so choose the node that is furthest: bop cluster status shows LAG, bop log inspect the
newest positions. Never start a node of the old cluster again with its old folder.

Example:
  bop cluster rescue --data-dir /var/lib/bop`
}

func (c *clusterRescueCmd) Run(ctx context.Context, e *env) error {
	if !c.Yes {
		fmt.Fprintf(e.err, "The nodes of the old cluster must never run again with their old folders. Go on with %s alone? Type yes: ", c.DataDir)
		var answer string
		if _, err := fmt.Fscanln(e.in, &answer); err != nil || answer != "yes" {
			return errors.New("nothing was changed; --yes goes on without asking")
		}
	}
	r, err := cluster.Rescue(ctx, c.DataDir, newLogger(e, "warn", "text"))
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(r)
	}
	_, err = fmt.Fprintf(e.out, "%s is a cluster of its own now, with everything up to entry %d of its log. Start it without --initial-cluster and --join;\nthen start the others with empty folders and --join.\n", r.Node, r.Index)
	return err
}

// change does something to the cluster and says so.
func (f *remoteFlags) change(ctx context.Context, e *env, method, path string, v any, done string) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	if err := client.Change(ctx, method, path, v); err != nil {
		return err
	}
	return f.report(e, map[string]any{"done": done}, "%s", done)
}
