package session

import (
	"sync"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// Notification is a message of NOTIFY.
type Notification struct {
	From             uint32 // the sender's session
	Database         string
	Channel, Payload string
}

// hub hands notifications from sessions to those that listen, within one server.
type hub struct {
	mu        sync.Mutex
	listeners map[[2]string]map[*Session]bool // by database and channel
}

// listen begins or ends listening; channel "*" with on false ends all.
func (x *Session) listen(channel string, on bool) {
	h := &x.server.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if !on && channel == "*" {
		for _, set := range h.listeners {
			delete(set, x)
		}
		return
	}
	key := [2]string{x.databaseName(), channel}
	if !on {
		delete(h.listeners[key], x)
		return
	}
	if h.listeners == nil {
		h.listeners = map[[2]string]map[*Session]bool{}
	}
	if h.listeners[key] == nil {
		h.listeners[key] = map[*Session]bool{}
	}
	h.listeners[key][x] = true
}

func (h *hub) leave(x *Session) { x.listen("*", false) }

// notify sends a message when the transaction commits. Equal messages of one transaction are sent once.
func (x *Session) notify(channel, payload string) error {
	if len(channel) == 0 || len(channel) > 63 {
		return sqlerr.New("22023", "channel name must have 1 to 63 bytes")
	}
	if len(payload) >= 8000 {
		return sqlerr.New("22023", "payload string too long")
	}
	n := Notification{From: x.id, Database: x.databaseName(), Channel: channel, Payload: payload}
	if !x.block.open {
		x.server.hub.publish(x, []Notification{n})
		return nil
	}
	for _, m := range x.block.messages {
		if m == n {
			return nil
		}
	}
	x.block.messages = append(x.block.messages, n)
	return nil
}

func (h *hub) publish(_ *Session, messages []Notification) {
	for _, m := range messages {
		h.mu.Lock()
		var to []*Session
		for s := range h.listeners[[2]string{m.Database, m.Channel}] {
			to = append(to, s)
		}
		h.mu.Unlock()
		for _, s := range to {
			if s.cfg.Notified != nil {
				s.cfg.Notified(m)
			}
		}
	}
}
