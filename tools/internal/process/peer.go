package process

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Peer is a real server that bop is compared with.
type Peer struct {
	Addr string // 127.0.0.1:PORT
	cmd  *exec.Cmd
	dir  string
	done chan struct{}
}

// StartPostgres starts the newest PostgreSQL that Debian's packages installed, with an empty cluster, durable as it
// comes, its superuser named postgres and no password.
func StartPostgres(ctx context.Context) (*Peer, error) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(bins) == 0 {
		return nil, fmt.Errorf("PostgreSQL's server is not installed: apt-get install postgresql")
	}
	bin := filepath.Dir(bins[len(bins)-1])
	return startPeer(ctx, "postgres", pgReady, func(dir string, port int, attr *syscall.SysProcAttr) (*exec.Cmd, error) {
		data := filepath.Join(dir, "data")
		initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
		initdb.SysProcAttr, initdb.Dir = attr, dir
		if err := run(initdb); err != nil {
			return nil, err
		}
		return exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-h", "127.0.0.1", "-p", strconv.Itoa(port)), nil
	})
}

// StartMariaDB starts MariaDB with an empty data folder; root@localhost and root@127.0.0.1 have no password.
func StartMariaDB(ctx context.Context) (*Peer, error) {
	for _, need := range []string{"mariadbd", "mariadb-install-db"} {
		if _, err := exec.LookPath(need); err != nil {
			return nil, fmt.Errorf("MariaDB's server is not installed: apt-get install mariadb-server")
		}
	}
	return startPeer(ctx, "mysql", dial, func(dir string, port int, attr *syscall.SysProcAttr) (*exec.Cmd, error) {
		data := filepath.Join(dir, "data")
		install := exec.Command("mariadb-install-db", "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")
		install.SysProcAttr, install.Dir = attr, dir
		if err := run(install); err != nil {
			return nil, err
		}
		return exec.Command("mariadbd", "--no-defaults", "--datadir="+data, "--bind-address=127.0.0.1",
			"--port="+strconv.Itoa(port), "--socket="+filepath.Join(dir, "s"), "--pid-file="+filepath.Join(dir, "pid")), nil
	})
}

// startPeer makes a folder for the user that the server runs as, prepares it and waits until the port answers.
func startPeer(ctx context.Context, account string, ready func(addr string) error, prepare func(dir string, port int, attr *syscall.SysProcAttr) (*exec.Cmd, error)) (*Peer, error) {
	attr, err := credential(account)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bop-peer-")
	if err != nil {
		return nil, err
	}
	if attr != nil {
		if err := os.Chown(dir, int(attr.Credential.Uid), int(attr.Credential.Gid)); err != nil {
			return nil, err
		}
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	cmd, err := prepare(dir, port, attr)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	log := &tail{limit: 64 << 10}
	cmd.SysProcAttr, cmd.Dir, cmd.Stdout, cmd.Stderr = attr, dir, log, log
	if err := cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	p := &Peer{Addr: "127.0.0.1:" + strconv.Itoa(port), cmd: cmd, dir: dir, done: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	for {
		if err := ready(p.Addr); err == nil {
			return p, nil
		}
		select {
		case <-p.done:
			os.RemoveAll(dir)
			return nil, fmt.Errorf("%s: %w\n%s", cmd.Path, errEnded, log)
		case <-ctx.Done():
			p.Stop()
			return nil, fmt.Errorf("waiting for %s: %w\n%s", cmd.Path, ctx.Err(), log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// dial tells whether a port answers.
func dial(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}

// pgReady asks PostgreSQL itself: its port answers before it has started up.
func pgReady(addr string) error {
	host, port := Split(addr)
	return exec.Command("pg_isready", "-q", "-h", host, "-p", port).Run()
}

// Stop ends the server and removes its data.
func (p *Peer) Stop() {
	p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
	}
	os.RemoveAll(p.dir)
}

func asUser(name string) (*syscall.SysProcAttr, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("the server runs as %s, whom its Debian package makes: %w", name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}
