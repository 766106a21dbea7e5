package spawn

import (
	"net"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// notifyReady is a child that says that it is ready, and then waits until that was taken.
func notifyReady() {
	c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		panic(err)
	}
	if _, err := c.Write([]byte("READY=1\nSTATUS=serving\nX_OTHER=1")); err != nil {
		panic(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		panic(err)
	}
	rights := unix.UnixRights(int(w.Fd()))
	err = raw.Control(func(fd uintptr) {
		if err := unix.Sendmsg(int(fd), []byte("BARRIER=1"), rights, nil, 0); err != nil {
			panic(err)
		}
	})
	if err != nil {
		panic(err)
	}
	w.Close()
	if n, err := r.Read(make([]byte, 1)); n != 0 {
		panic(err)
	}
	os.Stdout.WriteString("taken\n")
}

func TestReadinessIsTakenFromTheTreeAndRefusedFromStrangers(t *testing.T) {
	sock, err := ListenNotify(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	// The test itself is a stranger to the tree.
	stranger, err := net.Dial("unixgram", sock.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for _, msg := range []string{"READY=1\nSTATUS=forged", strings.Repeat("x", maxNotification+100)} {
		if _, err := stranger.Write([]byte(msg)); err != nil {
			t.Fatal(err)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// A child of the leader sends.
	s := self("notify", "NOTIFY_SOCKET="+sock.Path())
	s.Shell, s.Args = s.Args[0]+"; :", nil
	s.Stdout, s.Stderr = w, os.Stderr
	p := start(t, s)
	w.Close()
	sock.Attach(p)
	n := <-sock.C()
	if !n.Ready || n.Status != "serving" || n.Pid == p.Pid() || n.Pid == 0 {
		t.Errorf("got %+v", n)
	}
	if n = <-sock.C(); !n.Barrier || n.Ready {
		t.Errorf("got %+v", n)
	}
	if b := make([]byte, 6); true {
		if _, err := r.Read(b); err != nil || string(b) != "taken\n" {
			t.Errorf("the child says %q, %v", b, err)
		}
	}
	wait(t, p)
	if sock.Refused() != 2 {
		t.Errorf("refused %d", sock.Refused())
	}
	path := sock.Path()
	if err := sock.Close(); err != nil {
		t.Error(err)
	}
	if _, open := <-sock.C(); open {
		t.Error("a message after Close")
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestAClosedSocketThatNobodyReadsEnds(t *testing.T) {
	sock, err := ListenNotify(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := self("notify", "NOTIFY_SOCKET="+sock.Path())
	p := start(t, s)
	sock.Attach(p)
	if err := sock.Close(); err != nil {
		t.Error(err)
	}
}

func TestANotificationIsParsed(t *testing.T) {
	for _, c := range []struct {
		msg  string
		want Notification
	}{
		{"", Notification{}},
		{"READY=0", Notification{}},
		{"RELOADING=1\nMONOTONIC_USEC=5", Notification{Reloading: true}},
		{"STOPPING=1\nSTATUS=a=b", Notification{Stopping: true, Status: "a=b"}},
		{"WATCHDOG=1", Notification{Watchdog: true}},
		{"WATCHDOG=trigger", Notification{Trigger: true}},
		{"MAINPID=12\nERRNO=2", Notification{MainPID: 12, Errno: 2}},
		{"WATCHDOG_USEC=2000000\nEXTEND_TIMEOUT_USEC=1000", Notification{WatchdogInterval: 2 * time.Second, ExtendTimeout: time.Millisecond}},
		{"STATUS=\xff", Notification{Status: "\uFFFD"}},
	} {
		if got := parseNotification(c.msg); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v", c.msg, got)
		}
	}
}
