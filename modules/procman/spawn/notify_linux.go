package spawn

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// NotifySocket receives sd_notify messages of one process's tree.
//
//	sock, err := spawn.ListenNotify(dir)
//	spec.Env = append(spec.Env, "NOTIFY_SOCKET="+sock.Path())
//	p, err := spawn.Start(ctx, spec)
//	sock.Attach(p)
//	for n := range sock.C() { ... }
type NotifySocket struct {
	path    string
	conn    *net.UnixConn
	c       chan Notification
	closing chan struct{}
	ended   sync.WaitGroup
	once    sync.Once
	attach  sync.Once
	refused atomic.Int64
}

// maxSocketPath is what fits into a sockaddr_un with its end.
const maxSocketPath = 107

// ListenNotify makes a socket in dir. Anybody may write to it who can enter dir, for the process may be another user's;
// messages of strangers are refused.
func ListenNotify(dir string) (*NotifySocket, error) {
	f, err := os.CreateTemp(dir, "notify-")
	if err != nil {
		return nil, fmt.Errorf("listen for notifications: %w", err)
	}
	// The name is ours now; the socket needs it free.
	path, err := filepath.Abs(f.Name())
	if err = errors.Join(err, f.Close(), os.Remove(f.Name())); err != nil {
		return nil, fmt.Errorf("listen for notifications: %w", err)
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("listen for notifications: path %s is longer than %d bytes", path, maxSocketPath)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for notifications: %w", err)
	}
	n := &NotifySocket{path: path, conn: conn, c: make(chan Notification), closing: make(chan struct{})}
	raw, err := conn.SyscallConn()
	if err == nil {
		var set error
		err = raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
		err = errors.Join(err, set)
	}
	if err = errors.Join(err, os.Chmod(path, 0o666)); err != nil {
		_ = n.Close()
		return nil, fmt.Errorf("listen for notifications: %w", err)
	}
	return n, nil
}

// Path is the value of NOTIFY_SOCKET.
func (n *NotifySocket) Path() string { return n.path }

// C delivers the messages in their order. It isn't buffered: when nobody reads, the kernel keeps some and then lets the
// sender wait, so memory is bounded and nothing is lost. It is closed by Close.
func (n *NotifySocket) C() <-chan Notification { return n.c }

// Refused is how many messages were dropped: from outside the tree, from a sender that had ended before it was looked at,
// or too long.
func (n *NotifySocket) Refused() int64 { return n.refused.Load() }

// Attach names the process whose tree may send, and begins to read. Before, messages wait in the kernel. It works once.
func (n *NotifySocket) Attach(p *Process) {
	n.attach.Do(func() {
		n.ended.Add(1)
		go n.read(p)
	})
}

// Close ends reading, closes C and removes the socket.
func (n *NotifySocket) Close() error {
	var err error
	n.once.Do(func() {
		close(n.closing)
		err = n.conn.Close()
		n.attach.Do(func() {})
		n.ended.Wait()
		close(n.c)
		_ = os.Remove(n.path)
	})
	return err
}

func (n *NotifySocket) read(p *Process) {
	defer n.ended.Done()
	buf := make([]byte, maxNotification+1)
	oob := make([]byte, 1024)
	trusted := map[key]bool{} // senders that were found in the tree
	for {
		size, oobSize, flags, _, err := n.conn.ReadMsgUnix(buf, oob)
		if err != nil {
			select {
			case <-n.closing:
				return
			default:
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // such as a message with nothing in it
		}
		pid, fds := control(oob[:oobSize])
		if size > maxNotification || flags&unix.MSG_TRUNC != 0 || !belongs(p, pid, trusted) {
			closeAll(fds)
			n.refused.Add(1)
			continue
		}
		m := parseNotification(string(buf[:size]))
		m.Pid = pid
		select {
		case n.c <- m:
		case <-n.closing:
		}
		// After the message was taken: for a barrier this is the answer. Other descriptors aren't kept.
		closeAll(fds)
	}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// control takes the sender's pid and the descriptors from what came with a message.
func control(oob []byte) (pid int, fds []int) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, nil
	}
	for _, m := range msgs {
		if c, err := unix.ParseUnixCredentials(&m); err == nil {
			pid = int(c.Pid)
		}
		if f, err := unix.ParseUnixRights(&m); err == nil {
			fds = append(fds, f...)
		}
	}
	return pid, fds
}

// maxTrusted bounds what is remembered about senders.
const maxTrusted = 256

func belongs(p *Process, pid int, trusted map[key]bool) bool {
	if pid <= 1 {
		return false
	}
	st, err := readStat(pid)
	if err != nil {
		return false
	}
	k := key{pid, st.StartTime}
	if k == (key{p.id.Pid, p.id.StartTime}) || trusted[k] {
		return true
	}
	members, err := p.Tree()
	if err != nil {
		return false
	}
	for _, m := range members {
		if m.Pid == pid && m.StartTime == st.StartTime {
			if len(trusted) >= maxTrusted {
				clear(trusted)
			}
			trusted[k] = true
			return true
		}
	}
	return false
}
