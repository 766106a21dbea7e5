package session_test

import (
	"testing"

	"github.com/bop-platform/bop/modules/wire/ir"
)

func TestAdvisoryLocksEndWithTheirOwner(t *testing.T) {
	for _, c := range []struct {
		name, take string
		end        func(owner *client)
	}{
		{"a session's lock ends with the session", "SELECT pg_advisory_lock(1)::text", func(x *client) { x.Close() }},
		{"a session's lock ends with DISCARD ALL", "SELECT pg_advisory_lock(1)::text", func(x *client) { x.want("DISCARD ALL", "DISCARD ALL") }},
		{"a transaction's lock ends with its commit", "BEGIN; SELECT pg_advisory_xact_lock(1)::text", func(x *client) { x.want("COMMIT", "COMMIT") }},
		{"a transaction's lock ends with its rollback", "BEGIN; SELECT pg_advisory_xact_lock(1)::text", func(x *client) { x.want("ROLLBACK", "ROLLBACK") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := start(t)
			owner, other := k.open(ir.Postgres), k.open(ir.Postgres)
			if _, err := owner.try(c.take); err != nil {
				t.Fatal(err)
			}
			other.want("SELECT pg_try_advisory_lock(1)", "f")
			c.end(owner)
			other.want("SELECT pg_try_advisory_lock(1)", "t")
			other.Close()
		})
	}
	t.Run("outside of a block a transaction's lock ends with its statement", func(t *testing.T) {
		k := start(t)
		owner, other := k.open(ir.Postgres), k.open(ir.Postgres)
		owner.want("SELECT pg_try_advisory_xact_lock(1)", "t")
		other.want("SELECT pg_try_advisory_xact_lock(1)", "t")
	})
}
