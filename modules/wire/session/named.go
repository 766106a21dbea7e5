package session

import "github.com/bop-platform/bop/modules/wire/sqlerr"

// Statements of SQL's PREPARE and named ones of PostgreSQL's protocol are the same: EXECUTE and DEALLOCATE find both.

// maxNamed bounds the named statements of a session.
const maxNamed = 65_536

// Name gives a prepared statement a name. 42P05 if it is taken.
func (x *Session) Name(name string, p *Prepared) error {
	if x.prepared[name] != nil {
		return sqlerr.New("42P05", `prepared statement "%s" already exists`, name)
	}
	if len(x.prepared) >= maxNamed {
		return sqlerr.New("53400", "too many prepared statements").WithHint("DEALLOCATE those that aren't needed any more.")
	}
	if x.prepared == nil {
		x.prepared = map[string]*Prepared{}
	}
	x.prepared[name] = p
	return nil
}

// Named returns the prepared statement of that name, nil if there is none.
func (x *Session) Named(name []byte) *Prepared { return x.prepared[string(name)] }

// Forget drops the prepared statement of that name, if there is one.
func (x *Session) Forget(name string) { delete(x.prepared, name) }
