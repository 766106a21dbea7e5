package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExposure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		s    Serve
		want string // part of the error, "" none
	}{
		{"loopback needs nothing", Serve{PG: "127.0.0.1:1", MySQL: "[::1]:1", HTTP: "localhost:1"}, ""},
		{"PostgreSQL beyond loopback needs users and TLS", Serve{PG: "0.0.0.0:1", MySQL: Off, HTTP: Off}, "--auth or --auth-file and --tls-cert"},
		{"an empty host is beyond loopback", Serve{PG: ":1", MySQL: Off, HTTP: Off}, "beyond loopback"},
		{"users without TLS are not enough", Serve{PG: Off, MySQL: "10.0.0.1:1", HTTP: Off, AuthFile: file}, "--tls-cert"},
		{"users and TLS are enough for clients", Serve{PG: "0.0.0.0:1", MySQL: "0.0.0.0:1", HTTP: Off, AuthFile: file, TLSCert: file, TLSKey: file}, ""},
		{"the admin API asks for a token as well", Serve{PG: Off, MySQL: Off, HTTP: "0.0.0.0:1", AuthFile: file, TLSCert: file, TLSKey: file}, "--admin-token-file"},
		{"users of the cluster are users", Serve{PG: "0.0.0.0:1", MySQL: Off, HTTP: Off, Auth: true, TLSCert: file, TLSKey: file}, ""},
		{"users are in one place", Serve{PG: "127.0.0.1:1", MySQL: Off, HTTP: Off, Auth: true, AuthFile: file}, "--auth and --auth-file exclude each other"},
		{"insecure lets everything pass", Serve{PG: "0.0.0.0:1", MySQL: Off, HTTP: Off, Insecure: true}, ""},
		{"an address without a port is refused", Serve{PG: "127.0.0.1", MySQL: Off, HTTP: Off}, "HOST:PORT"},
		{"a certificate without its key is refused", Serve{PG: "127.0.0.1:1", TLSCert: file}, "belong together"},
		{"nothing to serve is refused", Serve{PG: Off, MySQL: Off, HTTP: Off}, "all listeners are off"},
		{"a file that isn't there is named with its flag", Serve{PG: "127.0.0.1:1", MySQL: Off, HTTP: Off, AuthFile: file + "x"}, "--auth-file"},
		{"peers beyond loopback need certificates", Serve{PG: "127.0.0.1:1", MySQL: Off, HTTP: Off, Raft: "0.0.0.0:1"}, "--peer-ca, --peer-cert and --peer-key"},
		{"certificates are enough for peers", Serve{PG: "127.0.0.1:1", MySQL: Off, HTTP: Off, Raft: "0.0.0.0:1", PeerCA: file, PeerCert: file, PeerKey: file}, ""},
		{"a peer certificate without its key is refused", Serve{PG: "127.0.0.1:1", MySQL: Off, HTTP: Off, PeerCert: file}, "belong together"},
		{"a server joins a cluster or begins one", Serve{PG: "127.0.0.1:1", MySQL: Off, HTTP: Off, Join: "a:1", InitialCluster: "n1=a:1"}, "exclude each other"},
		{"members have addresses", Serve{PG: "127.0.0.1:1", MySQL: Off, HTTP: Off, InitialCluster: "n1=a:1,n2"}, `"n2": give NAME=HOST:PORT`},
		{"a member is named once", Serve{PG: "127.0.0.1:1", MySQL: Off, HTTP: Off, InitialCluster: "n1=a:1,n1=b:1"}, "node n1 is named twice"},
		{"reads are as fresh as there is a word for", Serve{PG: "127.0.0.1:1", MySQL: Off, HTTP: Off, ReadConsistency: "stale(soon)"}, "--read-consistency"},
		{"commits are as safe as there is a word for", Serve{PG: "127.0.0.1:1", MySQL: Off, HTTP: Off, Durability: "never"}, "quorum, local, async"},
		{"an OTLP address must be a URL", Serve{PG: "127.0.0.1:1", MySQL: Off, HTTP: Off, OTLP: "localhost:4318"}, "--otlp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.s.DataDir = "d"
			if c.s.Raft == "" {
				c.s.Raft = "127.0.0.1:0"
			}
			err := c.s.Validate()
			switch {
			case c.want == "" && err != nil:
				t.Fatalf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestTheAddressForOtherServers(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Serve
		want string
	}{
		{"is on loopback where nothing is said", Serve{}, "127.0.0.1:7071"},
		{"is the one that the cluster's list gives the node", Serve{Node: "n2", InitialCluster: "n1=127.0.0.1:1, n2=127.0.0.1:2"}, "127.0.0.1:2"},
		{"is what is given beside the list", Serve{Node: "n2", InitialCluster: "n1=127.0.0.1:1,n2=n2.example:2", Raft: "127.0.0.1:3"}, "127.0.0.1:3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.s.DataDir, c.s.PG, c.s.MySQL, c.s.HTTP = "d", "127.0.0.1:1", Off, Off
			if err := c.s.Validate(); err != nil || c.s.Raft != c.want {
				t.Errorf("%q, %v; want %q", c.s.Raft, err, c.want)
			}
		})
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		name := filepath.Join(dir, "bop.conf.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	t.Run("an unknown key is an error that shows the line", func(t *testing.T) {
		_, err := ReadFile(write("pg: off\npgsql: 1.2.3.4\n"))
		if err == nil || !strings.Contains(err.Error(), "pgsql") || !strings.Contains(err.Error(), "^") {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("settings say where they came from", func(t *testing.T) {
		f, err := ReadFile(write("pg: off\nlog-level: debug\nnode: a\n"))
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("BOP_LOG_LEVEL", "warn")
		got := map[string]string{}
		for _, s := range Settings(&Serve{PG: "x"}, map[string]bool{"pg": true}, f) {
			got[s.Name] = s.Source
		}
		for name, want := range map[string]string{"pg": "flag", "log-level": "environment BOP_LOG_LEVEL", "node": "file " + f.Name, "mysql": "default"} {
			if got[name] != want {
				t.Errorf("%s came from %q, want %q", name, got[name], want)
			}
		}
	})
}
