package cluster

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// at gives nodes addresses.
func at(names ...string) map[string]string {
	m := map[string]string{}
	for i, name := range names {
		m[name] = "127.0.0.1:" + string(rune('1'+i))
	}
	return m
}

func TestTheFoundersOfAClusterFindTheSameIdentity(t *testing.T) {
	first := founder("n1", "bop", []string{"n1", "n2", "n3"})
	if second := founder("n2", "bop", []string{"n3", "n1", "n2"}); second.Cluster != first.Cluster || !slices.Equal(second.Voters, first.Voters) || second.Node != "n2" {
		t.Errorf("%+v, not %+v", second, first)
	}
	for what, other := range map[string]*identity{
		"another name":   founder("n1", "shop", []string{"n1", "n2", "n3"}),
		"another list":   founder("n1", "bop", []string{"n1", "n2", "n4"}),
		"a shorter list": founder("n1", "bop", []string{"n1", "n2"}),
		"a server alone": alone("n1"),
	} {
		if other.Cluster == first.Cluster {
			t.Errorf("%s makes the same cluster", what)
		}
	}
	if alone("n1").Cluster == alone("n1").Cluster {
		t.Error("two servers that begin alone are of one cluster")
	}
}

func TestAFolderStaysInItsCluster(t *testing.T) {
	founded := founder("n1", "shop", []string{"n1", "n2", "n3"})
	joined := func(peers ...string) *identity {
		return &identity{Cluster: founded.Cluster, Node: "n1", Peers: at(peers...)}
	}
	grown := alone("n1")
	grown.Peers = at("n2", "n3")
	rescued := alone("n1")
	rescued.Rescued = true
	for _, c := range []struct {
		name   string
		id     *identity
		given  Options
		refuse string
	}{
		{"nothing said is nothing contradicted, not even by the default of --cluster-name", founded, Options{Name: "bop"}, ""},
		{"the list that the cluster began with may be given again", founded, Options{Name: "shop", Initial: at("n3", "n2", "n1")}, ""},
		{"and to a server that joined later", joined("n4"), Options{Name: "shop", Initial: at("n1", "n2", "n3")}, ""},
		{"also if the list doesn't name it", &identity{Cluster: founded.Cluster, Node: "n4"}, Options{Node: "n4", Name: "shop", Initial: at("n1", "n2", "n3")}, ""},
		{"a list may say where known servers are", founded, Options{Name: "shop", Initial: at("n1", "n2")}, ""},
		{"as well in a cluster that grew from one", grown, Options{Name: "bop", Initial: at("n1", "n2", "n3")}, ""},
		{"a server alone may be the whole list", alone("n1"), Options{Name: "bop", Initial: at("n1")}, ""},
		{"another name is another cluster", founded, Options{Name: "bop", Initial: at("n1", "n2", "n3")}, "another --cluster-name than bop"},
		{"a list doesn't make a cluster grow", founded, Options{Name: "shop", Initial: at("n1", "n2", "n3", "n4", "n5")}, "doesn't have n4, n5: "},
		{"a server that began alone can't found a cluster with what it has", alone("n1"), Options{Name: "bop", Initial: at("n1", "n2", "n3")}, "doesn't have n2, n3: "},
		{"the list of the cluster before a rescue is refused", rescued, Options{Name: "shop", Initial: at("n1", "n2", "n3")}, "doesn't have n2, n3: "},
		{"a folder of another node is refused", founded, Options{Node: "n2", Name: "shop", Initial: at("n1", "n2", "n3")}, "belongs to node n1, not to n2: start it with --node n1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := c.given
			o.Dir = t.TempDir()
			if o.Node == "" {
				o.Node = "n1"
			}
			if err := c.id.write(o.Dir); err != nil {
				t.Fatal(err)
			}
			got, err := (&Cluster{o: o}).identify(t.Context())
			switch {
			case c.refuse == "" && (err != nil || got.Cluster != c.id.Cluster || !maps.Equal(got.Peers, c.id.Peers)):
				t.Errorf("%+v, %v", got, err)
			case c.refuse != "" && (err == nil || !strings.Contains(err.Error(), c.refuse) || !strings.Contains(err.Error(), o.Dir)):
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAnEmptyFolderIsGivenAnIdentityOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		given  Options
		voters []string
		refuse string
	}{
		{"a server that is told of no others is a cluster of one", Options{Node: "n1"}, []string{"n1"}, ""},
		{"a list makes a cluster of its servers", Options{Node: "n2", Name: "bop", Initial: at("n2", "n1")}, []string{"n1", "n2"}, ""},
		{"a list has to name the server itself", Options{Node: "n3", Name: "bop", Initial: at("n2", "n1")}, nil, "doesn't name this node, n3: it lists [n1 n2]"},
		{"a server joins or founds", Options{Node: "n1", Initial: at("n1"), Join: "127.0.0.1:1"}, nil, "exclude each other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := c.given
			o.Dir = t.TempDir()
			got, err := (&Cluster{o: o}).identify(t.Context())
			if c.refuse != "" {
				if err == nil || !strings.Contains(err.Error(), c.refuse) {
					t.Fatalf("%v", err)
				}
				if _, err := os.Stat(filepath.Join(o.Dir, identityFile)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("it left an identity: %v", err)
				}
				return
			}
			if err != nil || !slices.Equal(got.Voters, c.voters) {
				t.Fatalf("%+v, %v", got, err)
			}
			if again, err := (&Cluster{o: o}).identify(t.Context()); err != nil || again.Cluster != got.Cluster {
				t.Errorf("the next start found %+v, not %+v: %v", again, got, err)
			}
		})
	}
}

func TestAnIdentityThatCannotBeReadIsNotReplaced(t *testing.T) {
	for name, text := range map[string]string{
		"half a file":          `{"cluster": "0011`,
		"no node":              `{"cluster": "00112233445566778899aabbccddeeff"}`,
		"a number that is cut": `{"cluster": "0011", "node": "n1"}`,
		"no number":            `{"cluster": "bop", "node": "n1"}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, identityFile)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := (&Cluster{o: Options{Dir: dir, Node: "n1"}}).identify(t.Context()); err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("%v", err)
			}
			if left, err := os.ReadFile(file); err != nil || string(left) != text {
				t.Errorf("it left %q, %v", left, err)
			}
		})
	}
}
