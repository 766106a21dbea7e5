package session

import (
	"time"

	"github.com/bop-platform/bop/modules/wire/catalog"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/types"
)

// connState answers what the catalogs of its connection ask: the session that has the connection knows.
var _ catalog.Source = (*connState)(nil)

// Schema is the snapshot that belongs to what the connection sees.
func (st *connState) Schema() *schema.Schema {
	x := st.user
	if x == nil || x.db == nil {
		return emptySchema
	}
	if (x.block.ddl || x.vars.temporary) && st.schema != nil {
		return st.schema
	}
	if s := x.server.schemas.get(x.db.Version()); s != nil {
		return s
	}
	s, _, err := x.schema(x.base)
	if err != nil {
		return emptySchema
	}
	return s
}

// Database is the current database.
func (st *connState) Database() string { return st.user.Database() }

// Databases lists the server's databases.
func (st *connState) Databases() []string {
	names, err := st.user.server.o.Engine.Databases(st.user.base)
	if err != nil {
		return []string{st.user.Database()}
	}
	return names
}

// User is the session's user.
func (st *connState) User() string { return st.user.cfg.User }

// Users are the known users, and those that are connected.
func (st *connState) Users() []catalog.Role {
	seen := map[string]bool{}
	var out []catalog.Role
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			out = append(out, catalog.Role{Name: name, Superuser: true, Login: true, CreateDB: true, CreateRole: true})
		}
	}
	add(st.user.cfg.User)
	if users := st.user.server.o.Users; users != nil {
		for _, name := range users() {
			add(name)
		}
	}
	for _, x := range st.user.server.list() {
		add(x.cfg.User)
	}
	return out
}

// SearchPath is the session's.
func (st *connState) SearchPath() []string { return st.user.vars.path() }

// Dialect is the session's.
func (st *connState) Dialect() ir.Dialect { return st.user.cfg.Dialect }

// Settings are the session's variables.
func (st *connState) Settings() []catalog.Setting { return st.user.vars.settings(false) }

// GlobalSettings are what new sessions start with.
func (st *connState) GlobalSettings() []catalog.Setting { return st.user.vars.settings(true) }

// Sessions are all of the server.
func (st *connState) Sessions() []catalog.Session {
	var out []catalog.Session
	for _, x := range st.user.server.list() {
		s := x.activity()
		state := s.state
		if state == "" {
			state = "idle"
		}
		name := ""
		if x == st.user {
			name, _ = x.vars.get("application_name")
		}
		out = append(out, catalog.Session{ID: x.id, Dialect: x.cfg.Dialect, User: x.cfg.User, Database: x.databaseName(), Application: name,
			ClientAddr: x.clientAddr(), Started: x.opened, TransactionFrom: s.tx, QueryFrom: s.began, StateFrom: s.since, State: state, Query: s.text})
	}
	return out
}

// Started is when the server started.
func (st *connState) Started() time.Time { return st.user.server.started }

// Follows implements catalog.Source.
func (st *connState) Follows() bool { return st.user.follows() }

// Location is the session's time zone.
func (st *connState) Location() *time.Location { return st.user.vars.location }

// labels tells the labels of an enum, for values that clients send.
func (x *Session) labels(t types.Type) (string, []string) {
	s := x.currentSchema()
	if s == nil {
		return "", nil
	}
	if e, ok := s.ByOID[t.OID].(*schema.Enum); ok {
		return e.Name, e.Labels
	}
	return "", nil
}

func (x *Session) currentSchema() *schema.Schema {
	if x.db == nil {
		return nil
	}
	s, _, err := x.schema(x.base)
	if err != nil {
		return nil
	}
	return s
}

// elemOID tells the element of an array type of the schema.
func (x *Session) elemOID(array uint32) uint32 {
	if s := x.currentSchema(); s != nil {
		for _, e := range s.Enums {
			if e.ArrayOID == array {
				return e.OID
			}
		}
	}
	return 0
}

// regName is the name that an OID of a reg… type is printed as.
func (x *Session) regName(k types.Kind, oid uint32) string {
	return catalog.For(&connState{user: x}).NameOf(k, oid)
}

// regOID is the OID that a name stands for, where a client gives a name for a value of a reg… type.
func (x *Session) regOID(k types.Kind, name string) (uint32, error) {
	return catalog.For(&connState{user: x}).OIDOf(k, name)
}
