package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bop-platform/bop/modules/raft/tcpnet"
)

// Folder is how a data folder stands before anything is opened.
type Folder struct {
	New   bool // it belongs to no cluster and holds no databases
	Alone bool // it is new, or began a cluster by itself: nobody else has what it lacks
}

// LookAt looks at a data folder, which needn't be there, and changes nothing.
func LookAt(dir string) (Folder, error) {
	id, err := readIdentity(dir)
	if err != nil {
		return Folder{}, err
	}
	if id != nil {
		return Folder{Alone: len(id.Voters) == 1 && id.Voters[0] == id.Node && len(id.Peers) == 0}, nil
	}
	_, err = os.Stat(filepath.Join(dir, "db"))
	isNew := errors.Is(err, os.ErrNotExist)
	return Folder{New: isNew, Alone: isNew}, nil
}

// Begun tells whether another one of the servers that begin a cluster together, of those that initial lists, runs already.
// It asks each of them, and takes a few seconds at most.
func Begun(ctx context.Context, node, clusterName string, initial map[string]string, t *tls.Config, insecure bool) bool {
	want, err := founder(node, clusterName, slices.Collect(maps.Keys(initial))).number()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, beginPatience)
	defer cancel()
	var begun atomic.Bool
	var wg sync.WaitGroup
	for name, addr := range initial {
		if name == node {
			continue
		}
		wg.Go(func() {
			conn, remote, err := tcpnet.Dial(ctx, tcpnet.DialOptions{Node: NodeID(node), TLS: t, Insecure: insecure}, addr)
			if err != nil {
				return
			}
			conn.Close()
			if remote.Cluster == want {
				begun.Store(true)
				cancel()
			}
		})
	}
	wg.Wait()
	return begun.Load()
}

// beginPatience is how long the other servers have to answer.
const beginPatience = 3 * time.Second
