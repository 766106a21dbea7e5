// Package config holds the settings of `bop serve` and finds their values: flags before environment (BOP_…) before the
// configuration file (YAML) before defaults.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/wire/session"
)

// Serve are the settings of a server. The names in the configuration file are those of the flags.
type Serve struct {
	DataDir string `name:"data-dir" yaml:"data-dir" env:"BOP_DATA_DIR" default:"bop-data" placeholder:"DIR" help:"Folder that holds everything the server keeps. Created if it isn't there."`
	Node    string `name:"node" yaml:"node" env:"BOP_NODE" placeholder:"NAME" help:"This server's name. Default: the host's name."`

	PG    string `name:"pg" yaml:"pg" env:"BOP_PG" default:"127.0.0.1:5432" placeholder:"HOST:PORT" help:"Where PostgreSQL clients connect. Port 0 picks one; off turns it off."`
	MySQL string `name:"mysql" yaml:"mysql" env:"BOP_MYSQL" default:"127.0.0.1:3306" placeholder:"HOST:PORT" help:"Where MySQL clients connect. Port 0 picks one; off turns it off."`
	HTTP  string `name:"http" yaml:"http" env:"BOP_HTTP" default:"127.0.0.1:7070" placeholder:"HOST:PORT" help:"Where /healthz, /readyz, /metrics and the admin API are. Port 0 picks one; off turns it off."`

	Raft           string `name:"raft" yaml:"raft" env:"BOP_RAFT" placeholder:"HOST:PORT" help:"Where the other servers of the cluster connect. Default: what --initial-cluster says of this server, else 127.0.0.1:7071. Port 0 picks one, for a server alone."`
	InitialCluster string `name:"initial-cluster" yaml:"initial-cluster" env:"BOP_INITIAL_CLUSTER" placeholder:"N1=HOST:PORT,…" help:"Begin a cluster of these servers: the same names on each, this one among them."`
	ClusterName    string `name:"cluster-name" yaml:"cluster-name" env:"BOP_CLUSTER_NAME" default:"bop" placeholder:"NAME" help:"Tells clusters apart whose servers have the same names."`
	Join           string `name:"join" yaml:"join" env:"BOP_JOIN" placeholder:"HOST:PORT" help:"Join the cluster of the server whose --raft address this is."`
	PeerCA         string `name:"peer-ca" yaml:"peer-ca" env:"BOP_PEER_CA" placeholder:"FILE" help:"Authorities, in PEM, that sign the certificates of the cluster's servers. Needed beyond loopback."`
	PeerCert       string `name:"peer-cert" yaml:"peer-cert" env:"BOP_PEER_CERT" placeholder:"FILE" help:"This server's certificate for the others, in PEM, for client and server authentication."`
	PeerKey        string `name:"peer-key" yaml:"peer-key" env:"BOP_PEER_KEY" placeholder:"FILE" help:"Private key of --peer-cert in PEM."`

	Auth           bool   `name:"auth" yaml:"auth" env:"BOP_AUTH" help:"Ask clients for the passwords of the users that bop user add --http has added, the same on every server of the cluster. Without it and --auth-file every user is let in, on loopback only."`
	AuthFile       string `name:"auth-file" yaml:"auth-file" env:"BOP_AUTH_FILE" placeholder:"FILE" help:"Ask clients for the passwords of the users in this file, which bop user --auth-file writes."`
	TLSCert        string `name:"tls-cert" yaml:"tls-cert" env:"BOP_TLS_CERT" placeholder:"FILE" help:"Certificate chain in PEM for all listeners."`
	TLSKey         string `name:"tls-key" yaml:"tls-key" env:"BOP_TLS_KEY" placeholder:"FILE" help:"Private key of --tls-cert in PEM."`
	AdminTokenFile string `name:"admin-token-file" yaml:"admin-token-file" env:"BOP_ADMIN_TOKEN_FILE" placeholder:"FILE" help:"File with the token that the admin API asks for. Needed beyond loopback."`
	Insecure       bool   `name:"insecure" yaml:"insecure" env:"BOP_INSECURE" help:"Listen beyond loopback even without authentication and TLS."`

	Durability      string `name:"durability" yaml:"durability" env:"BOP_DURABILITY" default:"quorum" enum:"quorum,local,async" help:"When commits are answered, for sessions that don't set bop.durability: ${enum}."`
	ReadConsistency string `name:"read-consistency" yaml:"read-consistency" env:"BOP_READ_CONSISTENCY" default:"linearizable" placeholder:"LEVEL" help:"How fresh reads are, for sessions that don't set bop.read_consistency: linearizable, leader, stale or stale(10s)."`

	Cold             BucketURL     `name:"cold" yaml:"cold" env:"BOP_COLD" placeholder:"URL" help:"Keep all databases in this bucket too: s3://BUCKET/PREFIX?endpoint=URL&region=R or file:///FOLDER. Credentials come from the environment or a profile, as with AWS's tools. An empty --data-dir goes on with what is there."`
	ColdBytes        Size          `name:"cold-bytes" yaml:"cold-bytes" env:"BOP_COLD_BYTES" placeholder:"SIZE" help:"Bound of the databases' pages on this disk, e.g. 10GiB; those beyond it are in the bucket alone. Default: no bound."`
	ColdLogBytes     Size          `name:"cold-log-bytes" yaml:"cold-log-bytes" env:"BOP_COLD_LOG_BYTES" placeholder:"SIZE" help:"Bound of the log on this disk while the bucket doesn't take it; beyond it writes are refused. Default: 4GiB."`
	ColdLogInterval  time.Duration `name:"cold-log-interval" yaml:"cold-log-interval" env:"BOP_COLD_LOG_INTERVAL" default:"1s" placeholder:"DURATION" help:"How long a committed transaction isn't in the bucket yet."`
	ColdPageInterval time.Duration `name:"cold-page-interval" yaml:"cold-page-interval" env:"BOP_COLD_PAGE_INTERVAL" default:"1m" placeholder:"DURATION" help:"How long changed pages aren't in the bucket yet, but for the log."`
	Snapshots        Schedule      `name:"snapshots" yaml:"snapshots" env:"BOP_SNAPSHOTS" placeholder:"SCHEDULE" help:"Take snapshots by themselves, and restore the newest state to check it: any of full=24h,differential=6h,incremental=1h,verify=24h."`
	Retention        Retention     `name:"retention" yaml:"retention" env:"BOP_RETENTION" default:"hourly=24,daily=7,weekly=4,log=168h" placeholder:"RULES" help:"Which snapshots are kept, and for how long every transaction can be restored: any of last=N,hourly=N,daily=N,weekly=N,monthly=N,max-age=DURATION,log=DURATION."`
	KeyFile          KeySpec       `name:"key-file" yaml:"key-file" env:"BOP_KEY_FILE" placeholder:"FILE" help:"Encrypt new databases, and open encrypted ones, by the keys in this file, which bop key new makes. env:NAME or command:CMD take them from elsewhere. All servers of a cluster need the same keys."`

	OTLP      string `name:"otlp" yaml:"otlp" env:"BOP_OTLP" placeholder:"URL" help:"Send traces to this OTLP/HTTP endpoint, e.g. http://127.0.0.1:4318."`
	LogLevel  string `name:"log-level" yaml:"log-level" env:"BOP_LOG_LEVEL" default:"info" enum:"debug,info,warn,error" help:"Least level that is logged: ${enum}."`
	LogFormat string `name:"log-format" yaml:"log-format" env:"BOP_LOG_FORMAT" default:"text" enum:"text,json" help:"How log lines are written to standard error: ${enum}."`
}

// Off is the address that turns a listener off.
const Off = "off"

// Validate finishes the defaults and refuses settings that contradict each other. It touches no file but those that
// settings name.
func (s *Serve) Validate() error {
	if s.Node == "" {
		host, err := os.Hostname()
		if err != nil || host == "" {
			host = "bop"
		}
		s.Node = host
	}
	if s.DataDir == "" {
		return errors.New("--data-dir is empty: name a folder")
	}
	if (s.TLSCert == "") != (s.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key belong together: give both or neither")
	}
	for _, file := range []struct{ flag, name string }{
		{"--tls-cert", s.TLSCert}, {"--tls-key", s.TLSKey}, {"--peer-ca", s.PeerCA}, {"--peer-cert", s.PeerCert}, {"--peer-key", s.PeerKey}, {"--auth-file", s.AuthFile}, {"--admin-token-file", s.AdminTokenFile},
	} {
		if file.name == "" {
			continue
		}
		if _, err := os.Stat(file.name); err != nil {
			return fmt.Errorf("%s: %w", file.flag, err)
		}
	}
	if n := count(s.PeerCA, s.PeerCert, s.PeerKey); n != 0 && n != 3 {
		return errors.New("--peer-ca, --peer-cert and --peer-key belong together: give all or none")
	}
	if _, ok := session.ParseConsistency(s.ReadConsistency); !ok {
		return fmt.Errorf("--read-consistency %q: give linearizable, leader, stale or stale(DURATION), e.g. stale(10s)", s.ReadConsistency)
	}
	switch s.Durability {
	case "", "quorum", "local", "async":
	default:
		return fmt.Errorf("--durability %q: give one of quorum, local, async", s.Durability)
	}
	if s.Auth && s.AuthFile != "" {
		return errors.New("--auth and --auth-file exclude each other: users are in the cluster, or in a file")
	}
	if s.Join != "" && s.InitialCluster != "" {
		return errors.New("--join and --initial-cluster exclude each other: the first is for a cluster that runs, the second begins one")
	}
	if err := s.checkCold(); err != nil {
		return err
	}
	if s.OTLP != "" {
		u, err := url.Parse(s.OTLP)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return fmt.Errorf("--otlp %q: give a URL such as http://127.0.0.1:4318", s.OTLP)
		}
	}
	if s.PG == Off && s.MySQL == Off && s.HTTP == Off {
		return errors.New("all listeners are off: nothing to serve")
	}
	return s.checkExposure()
}

// Defaults are what the settings say of variables, for sessions and databases that don't set them.
func (s *Serve) Defaults() map[string]string {
	d := map[string]string{}
	for name, value := range map[string]string{"bop.durability": s.Durability, "bop.read_consistency": s.ReadConsistency} {
		if value != "" {
			d[name] = value
		}
	}
	return d
}

// checkExposure refuses listeners beyond loopback without authentication and TLS.
func (s *Serve) checkExposure() error {
	for _, l := range []struct {
		flag, addr string
		admin      bool
	}{{"--pg", s.PG, false}, {"--mysql", s.MySQL, false}, {"--http", s.HTTP, true}} {
		if l.addr == Off {
			continue
		}
		host, _, err := net.SplitHostPort(l.addr)
		if err != nil {
			return fmt.Errorf("%s %q: give HOST:PORT, or off: %w", l.flag, l.addr, err)
		}
		if s.Insecure || IsLoopback(host) {
			continue
		}
		var missing []string
		if l.admin && s.AdminTokenFile == "" {
			missing = append(missing, "--admin-token-file")
		}
		if !l.admin && s.AuthFile == "" && !s.Auth {
			missing = append(missing, "--auth or --auth-file")
		}
		if s.TLSCert == "" {
			missing = append(missing, "--tls-cert and --tls-key")
		}
		if len(missing) > 0 {
			return fmt.Errorf("%s %s is beyond loopback: give %s, or listen on 127.0.0.1, or accept the risk with --insecure",
				l.flag, l.addr, strings.Join(missing, " and "))
		}
	}
	return s.checkPeers()
}

// Members reads --initial-cluster: the nodes' names and addresses.
func (s *Serve) Members() (map[string]string, error) {
	peers := map[string]string{}
	for part := range strings.SplitSeq(s.InitialCluster, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, addr, ok := strings.Cut(part, "=")
		if !ok || name == "" || !strings.Contains(addr, ":") {
			return nil, fmt.Errorf("--initial-cluster: %q: give NAME=HOST:PORT for each node, separated by commas", part)
		}
		if _, twice := peers[name]; twice {
			return nil, fmt.Errorf("--initial-cluster: node %s is named twice", name)
		}
		peers[name] = addr
	}
	return peers, nil
}

// checkPeers finishes the address for the other servers, and refuses one beyond loopback without certificates.
func (s *Serve) checkPeers() error {
	members, err := s.Members()
	if err != nil {
		return err
	}
	if s.Raft == "" {
		s.Raft = cmp.Or(members[s.Node], "127.0.0.1:7071")
	}
	if s.Raft == Off {
		return errors.New("--raft has no address: other servers connect there, and a server alone keeps it on loopback; port 0 picks one")
	}
	host, _, err := net.SplitHostPort(s.Raft)
	if err != nil {
		return fmt.Errorf("--raft %q: give HOST:PORT: %w", s.Raft, err)
	}
	if s.Insecure || IsLoopback(host) || s.PeerCA != "" {
		return nil
	}
	return fmt.Errorf("--raft %s is beyond loopback: give --peer-ca, --peer-cert and --peer-key, or listen on 127.0.0.1, or accept the risk with --insecure", s.Raft)
}

// count tells how many of texts aren't empty.
func count(texts ...string) (n int) {
	for _, t := range texts {
		if t != "" {
			n++
		}
	}
	return n
}

// IsLoopback tells whether a host of a listen address is reachable from this machine alone. Names other than localhost
// count as beyond loopback: what they resolve to can change.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
