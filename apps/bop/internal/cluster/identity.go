package cluster

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/raft"
)

// identityFile says, in the data folder, which cluster and which node the folder belongs to.
const identityFile = "cluster.json"

// identity is what identityFile holds.
type identity struct {
	Cluster string            `json:"cluster"` // 32 hexadecimal digits
	Node    string            `json:"node"`
	Voters  []string          `json:"voters,omitempty"`  // the first members, if the folder was among them
	Peers   map[string]string `json:"peers,omitempty"`   // where the other nodes were last known to be
	Rescued bool              `json:"rescued,omitempty"` // the system database still names the nodes of the cluster before
}

// NodeID is the number of a node in Raft: the first 8 bytes of its name's SHA-256.
func NodeID(name string) raft.NodeID {
	sum := sha256.Sum256([]byte("bop node\n" + name))
	return raft.NodeID(binary.LittleEndian.Uint64(sum[:]) | 1)
}

// readIdentity returns nil if the folder belongs to no cluster yet.
func readIdentity(dir string) (*identity, error) {
	name := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var id identity
	if err := json.Unmarshal(b, &id); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if _, err := id.number(); err != nil || id.Node == "" {
		return nil, fmt.Errorf("%s doesn't say which cluster and node the folder belongs to", name)
	}
	return &id, nil
}

// write replaces the file, durably.
func (id *identity) write(dir string) error {
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(dir, identityFile)
	half := name + ".new"
	f, err := os.OpenFile(half, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(half, name); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (id *identity) number() (n [16]byte, err error) {
	b, err := hex.DecodeString(id.Cluster)
	if err == nil && len(b) != len(n) {
		err = errors.New("a cluster's id has 32 hexadecimal digits")
	}
	copy(n[:], b)
	return n, err
}

// alone is the identity of a server that begins a cluster of one.
func alone(node string) *identity {
	var n [16]byte
	_, _ = rand.Read(n[:])
	return &identity{Cluster: hex.EncodeToString(n[:]), Node: node, Voters: []string{node}}
}

// founder is the identity of one of the servers that begin a cluster together. All of them find the same cluster id, from
// its name and theirs.
func founder(node, clusterName string, names []string) *identity {
	names = slices.Sorted(slices.Values(names))
	sum := sha256.Sum256([]byte("bop cluster\n" + clusterName + "\n" + strings.Join(names, "\n")))
	return &identity{Cluster: hex.EncodeToString(sum[:16]), Node: node, Voters: names}
}

// agrees is an error if --initial-cluster begins another cluster than the one that the folder belongs to. A list of nothing
// but servers that the folder knows only says where they are, whoever of them began the cluster.
func (id *identity) agrees(o *Options) error {
	if len(o.Initial) == 0 || founder(o.Node, o.Name, slices.Collect(maps.Keys(o.Initial))).Cluster == id.Cluster {
		return nil
	}
	if len(id.Voters) > 1 && founder(o.Node, o.Name, id.Voters).Cluster != id.Cluster {
		return fmt.Errorf("data folder %s belongs to a cluster that was begun with another --cluster-name than %s: give that one, or another --data-dir", o.Dir, o.Name)
	}
	var strangers []string
	for _, name := range slices.Sorted(maps.Keys(o.Initial)) {
		if _, known := id.Peers[name]; !known && name != id.Node && !slices.Contains(id.Voters, name) {
			strangers = append(strangers, name)
		}
	}
	if len(strangers) == 0 {
		return nil
	}
	return fmt.Errorf("data folder %s belongs to a cluster that doesn't have %s: --initial-cluster begins a cluster, and only where folders are empty: leave it out and start further servers with --join, or give another --data-dir",
		o.Dir, strings.Join(strangers, ", "))
}
