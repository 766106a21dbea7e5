package spawn

import (
	"strconv"
	"strings"
	"time"
)

// Notification is one message of sd_notify(3). A field that the message didn't have is zero.
type Notification struct {
	Pid       int // who sent it; it belongs to the process's tree
	Ready     bool
	Reloading bool
	Stopping  bool
	Watchdog  bool   // the process is alive
	Trigger   bool   // WATCHDOG=trigger: it asks to be taken for hung
	Status    string // a line for people
	MainPID   int
	Errno     int
	// WatchdogInterval is what the process asks the watchdog to be from now on.
	WatchdogInterval time.Duration
	// ExtendTimeout asks for so much more time for what is under way.
	ExtendTimeout time.Duration
	Barrier       bool // all messages before were handled: the sender is told by the descriptor that was closed
}

// maxNotification bounds a message; a longer one is refused.
const maxNotification = 4096

// parseNotification reads lines NAME=value. What it doesn't know it skips, as the protocol wants.
func parseNotification(msg string) (n Notification) {
	number := func(s string) int {
		v, _ := strconv.Atoi(s)
		return v
	}
	for line := range strings.SplitSeq(msg, "\n") {
		name, value, _ := strings.Cut(line, "=")
		switch name {
		case "READY":
			n.Ready = value == "1"
		case "RELOADING":
			n.Reloading = value == "1"
		case "STOPPING":
			n.Stopping = value == "1"
		case "WATCHDOG":
			n.Watchdog, n.Trigger = value == "1", value == "trigger"
		case "STATUS":
			n.Status = strings.ToValidUTF8(value, "\uFFFD")
		case "MAINPID":
			n.MainPID = number(value)
		case "ERRNO":
			n.Errno = number(value)
		case "WATCHDOG_USEC":
			n.WatchdogInterval = time.Duration(number(value)) * time.Microsecond
		case "EXTEND_TIMEOUT_USEC":
			n.ExtendTimeout = time.Duration(number(value)) * time.Microsecond
		case "BARRIER":
			n.Barrier = value == "1"
		}
	}
	return n
}
