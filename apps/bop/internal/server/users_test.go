package server

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/modules/wire/auth"
)

func TestUsersAreTheSameOnEveryServer(t *testing.T) {
	f := newFleet(t, 3, func(o *Options) { o.Auth = true })
	leader, follower := f.leader(), f.follower()
	enter := func(name, password, more string) error {
		t.Helper()
		c, err := pgx.Connect(t.Context(), "postgres://ada:"+password+"@"+f.nodes[name].PG+"/bop?sslmode=disable"+more)
		if err == nil {
			err = c.Close(context.Background())
		}
		return err
	}
	refused := func(err error) bool {
		var pg *pgconn.PgError
		return errors.As(err, &pg) && pg.Code == "28P01"
	}
	const stale = "&options=-c%20bop.read_consistency%3Dstale" // served by the server itself
	if err := enter(leader, "first", ""); !refused(err) {
		t.Fatalf("before there are users: %v", err)
	}
	put := func(through, password string) {
		t.Helper()
		e, err := auth.NewUser("ada", password)
		if err == nil {
			err = admin.NewClient(f.nodes[through].HTTP, "", nil).PutUser(t.Context(), e)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put(follower, "first")
	for name := range f.nodes {
		eventually(t, name+" lets the user in", func() bool { return enter(name, "first", stale) == nil })
		if err := enter(name, "first", ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := enter(name, "wrong", ""); !refused(err) {
			t.Errorf("%s, with a wrong password: %v", name, err)
		}
	}
	put(leader, "second")
	eventually(t, "the new password counts", func() bool { return enter(follower, "second", stale) == nil })
	if err := enter(follower, "first", stale); !refused(err) {
		t.Errorf("with the old password: %v", err)
	}
	t.Run("after a restart too", func(t *testing.T) {
		if err := f.stop(follower); err != nil {
			t.Fatal(err)
		}
		f.start(follower, nil)
		if err := enter(follower, "second", stale); err != nil {
			t.Error(err)
		}
	})
	c := admin.NewClient(f.nodes[leader].HTTP, "", nil)
	if names, err := c.Users(t.Context()); err != nil || len(names) != 1 || names[0] != "ada" {
		t.Errorf("%q, %v", names, err)
	}
	if err := c.RemoveUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a removed user is refused", func() bool { return refused(enter(follower, "second", stale)) })
	if err := c.RemoveUser(t.Context(), "ada"); !errors.Is(err, admin.ErrNotFound) || err.Error() != `there is no user "ada"` {
		t.Errorf("%v", err)
	}
}
