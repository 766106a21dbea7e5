package raft_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/boltlog"
	"github.com/bop-platform/bop/modules/raft/tcpnet"
)

// machine is a host as a program runs it: its log in a file, its peers over TCP.
type machine struct {
	*testing.T
	id    raft.NodeID
	dir   string
	addr  string
	host  *raft.Host
	group *raft.Group
	sm    *register
}

func (m *machine) start(all []*machine, bootstrap bool) {
	m.Helper()
	store, err := boltlog.Open(filepath.Join(m.dir, "raft.db"), boltlog.Options{})
	if err != nil {
		m.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	listen := m.addr
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	transport, err := tcpnet.New(tcpnet.Options{Node: m.id, Listen: listen, SpoolDir: filepath.Join(m.dir, "spool"), Logger: quiet})
	if err != nil {
		m.Fatal(err)
	}
	m.host, err = raft.NewHost(raft.Options{ID: m.id, Log: store, Transport: transport, Tick: 20 * time.Millisecond, Trailing: 20, Logger: quiet})
	if err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { m.host.Close() })
	m.addr = transport.Addr().String()
	for _, other := range all {
		if other.host == nil || other == m {
			continue
		}
		transport.SetPeer(other.id, other.addr)
		other.peer(m)
	}
	if bootstrap {
		if err := m.host.Bootstrap(1, 1, 2, 3); err != nil {
			m.Fatal(err)
		}
	}
	if m.group, err = m.host.Open(1, m.sm); err != nil {
		m.Fatal(err)
	}
}

func (m *machine) peer(other *machine) { m.host.SetPeer(other.id, other.addr) }

func TestMachinesOverTCPWithTheirLogsInFiles(t *testing.T) {
	var all []*machine
	for id := raft.NodeID(1); id <= 4; id++ {
		all = append(all, &machine{T: t, id: id, dir: t.TempDir(), sm: &register{durable: true}})
	}
	for _, m := range all[:3] {
		m.start(all, true)
	}
	c := &cluster{T: t}
	leader := func() *raft.Group {
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			for _, m := range all {
				if m.group != nil && m.group.Err() == nil && m.group.Status().Leads {
					if _, err := m.group.ReadIndex(c.shortly()); err == nil {
						return m.group
					}
				}
			}
		}
		t.Fatal("nobody leads")
		return nil
	}
	agree := func(want int, on ...*machine) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			ok := true
			for _, m := range on {
				ok = ok && fmt.Sprint(m.sm.values()) == fmt.Sprint(on[0].sm.values()) && len(m.sm.values()) == want
			}
			if ok {
				return
			}
			if time.Now().After(deadline) {
				for _, m := range on {
					t.Logf("%d: %d values, %+v", m.id, len(m.sm.values()), m.group.Status())
				}
				t.Fatalf("they don't agree on %d values", want)
			}
		}
	}
	n := 0
	propose := func(count int) {
		t.Helper()
		for range count {
			n++
			c.propose(leader(), fmt.Sprint(n))
		}
	}
	propose(100)
	agree(100, all[:3]...)

	t.Run("one stops, the others go on, and it catches up", func(t *testing.T) {
		i := int(leader().Status().Node) - 1
		if err := all[i].host.Close(); err != nil {
			t.Fatal(err)
		}
		propose(50)
		all[i].start(all, false)
		propose(1)
		agree(n, all[:3]...)
	})
	t.Run("a new machine comes from a snapshot", func(t *testing.T) {
		all[3].start(all, false)
		if err := leader().AddMember(c.ctx(), 4); err != nil {
			t.Fatal(err)
		}
		propose(10)
		agree(n, all...)
	})
}
