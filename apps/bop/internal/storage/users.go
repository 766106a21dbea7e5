package storage

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/wire/auth"
)

// usersSpace is where the system database has the users' verifiers, by name.
const usersSpace = "users"

// Users are those of the system database: the same on every server of a cluster.
type Users struct {
	host *sqlite.Host
	log  *slog.Logger

	mu      sync.Mutex
	entries map[string]auth.Entry // nil: to be read
}

var _ auth.Store = (*Users)(nil)

// NewUsers returns the users of a host.
func NewUsers(h *sqlite.Host, log *slog.Logger) *Users { return &Users{host: h, log: log} }

// Changed is to be called when the system database has changed.
func (u *Users) Changed() {
	u.mu.Lock()
	u.entries = nil
	u.mu.Unlock()
}

// all reads the users if they may have changed. mu is held.
func (u *Users) all() map[string]auth.Entry {
	if u.entries != nil {
		return u.entries
	}
	lines, err := u.host.Entries(context.Background(), usersSpace)
	if err != nil {
		u.log.Error("the users can't be read, nobody is let in", "err", err)
		return nil
	}
	entries := map[string]auth.Entry{}
	for name, line := range lines {
		var e auth.Entry
		if err := e.UnmarshalText(line); err != nil {
			u.log.Error("a user can't be read and isn't let in", "user", name, "err", err)
			continue
		}
		entries[name] = e
	}
	u.entries = entries
	return entries
}

// Lookup implements auth.Store.
func (u *Users) Lookup(name string) (auth.Entry, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	e, ok := u.all()[name]
	return e, ok
}

// Names lists the users in order.
func (u *Users) Names() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.AppendSeq([]string{}, slices.Values(slices.Sorted(maps.Keys(u.all()))))
}

// Put adds a user, or gives one other verifiers.
func (u *Users) Put(ctx context.Context, e auth.Entry) error {
	line, err := e.MarshalText()
	if err != nil {
		return err
	}
	defer u.Changed()
	return u.host.Put(ctx, usersSpace, e.Name, line)
}

// Remove removes a user. Sessions that are open stay open.
func (u *Users) Remove(ctx context.Context, name string) error {
	if _, ok := u.Lookup(name); !ok {
		return unknown{fmt.Errorf("there is no user %q", name)}
	}
	defer u.Changed()
	return u.host.Put(ctx, usersSpace, name, nil)
}
