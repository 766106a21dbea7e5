package storage

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/wire/auth"
)

// usersSpace is where the system database has the users' verifiers, by name.
const usersSpace = "users"

// Users are those of the system database: the same on every server of a cluster.
type Users struct {
	mirror[auth.Entry] // by name
	log                *slog.Logger
}

var _ auth.Store = (*Users)(nil)

// NewUsers returns the users of a host.
func NewUsers(h *sqlite.Host, log *slog.Logger) *Users {
	return &Users{log: log, mirror: mirror[auth.Entry]{host: h, space: usersSpace, decode: func(name string, line []byte) (e auth.Entry, ok bool) {
		if err := e.UnmarshalText(line); err != nil {
			log.Error("a user can't be read and isn't let in", "user", name, "err", err)
			return e, false
		}
		return e, true
	}}}
}

// known are the users, none if they can't be read.
func (u *Users) known() map[string]auth.Entry {
	all, err := u.read(context.Background())
	if err != nil {
		u.log.Error("the users can't be read, nobody is let in", "err", err)
	}
	return all
}

// Lookup implements auth.Store.
func (u *Users) Lookup(name string) (auth.Entry, bool) {
	e, ok := u.known()[name]
	return e, ok
}

// Names lists the users in order.
func (u *Users) Names() []string { return append([]string{}, slices.Sorted(maps.Keys(u.known()))...) }

// Put adds a user, or gives one other verifiers.
func (u *Users) Put(ctx context.Context, e auth.Entry) error {
	line, err := e.MarshalText()
	if err != nil {
		return err
	}
	return u.put(ctx, e.Name, line)
}

// Remove removes a user. Sessions that are open stay open.
func (u *Users) Remove(ctx context.Context, name string) error {
	if _, ok := u.Lookup(name); !ok {
		return unknown{fmt.Errorf("there is no user %q", name)}
	}
	return u.put(ctx, name, nil)
}
