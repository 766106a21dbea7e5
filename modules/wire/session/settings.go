package session

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// What a variable is for a session that doesn't set it: what its database says, else the server, else what it is by itself.
// A session keeps to what its database said when the session began, or came to it.

// settings are what a database says. MySQL has no such thing, so its clients get this server's own variables alone: the
// same name may mean something else in the other dialect.
func (x *Session) settings(ctx context.Context, database string) (map[string]string, error) {
	e, ok := x.server.o.Engine.(engine.Configured)
	if !ok {
		return nil, nil
	}
	all, err := e.Settings(ctx, database)
	if err != nil {
		return nil, sqlerr.FromSQLite(err)
	}
	if x.mysql() {
		all = maps.Clone(all)
		maps.DeleteFunc(all, func(name, _ string) bool { return !strings.HasPrefix(name, "bop.") })
	}
	return all, nil
}

// inherit takes over what a database says.
func (v *vars) inherit(settings map[string]string) error {
	before := v.database
	v.database = settings
	v.derive()
	for name := range settings {
		if before[name] != settings[name] {
			if err := v.x.applied(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Consistency is how fresh the reads of a client have to be: as it asks for, else as its database says, else the server.
func (s *Server) Consistency(ctx context.Context, asked, database string) string {
	if asked != "" {
		return asked
	}
	if e, ok := s.o.Engine.(engine.Configured); ok && database != "" {
		if all, err := e.Settings(ctx, database); err == nil { // otherwise the session's beginning tells
			asked = all[readConsistency]
		}
	}
	return cmp.Or(asked, s.o.ReadConsistency)
}

// alterDatabaseSet is PostgreSQL's ALTER DATABASE … SET and RESET.
func (x *Session) alterDatabaseSet(ctx context.Context, s *ir.AlterDatabaseSet) (*Result, error) {
	e, ok := x.server.o.Engine.(engine.Configured)
	if !ok {
		return nil, sqlerr.Unsupported("ALTER DATABASE SET")
	}
	if x.block.open && x.block.explicit {
		return nil, sqlerr.New("25001", "ALTER DATABASE SET cannot run inside a transaction block")
	}
	if err := x.commitOpen(ctx); err != nil {
		return nil, err
	}
	change := func(all map[string]string) { clear(all) }
	if s.Var != "" {
		name := canonical(s.Var)
		value, set, err := x.settingOf(ctx, name, s)
		if err != nil {
			return nil, err
		}
		change = func(all map[string]string) {
			if delete(all, name); set {
				all[name] = value
			}
		}
	}
	err := e.ChangeSettings(ctx, s.Name, change)
	if errors.Is(err, engine.ErrNoDatabase) {
		return nil, sqlerr.New("3D000", `database "%s" does not exist`, s.Name)
	}
	if err != nil {
		return nil, sqlerr.FromSQLite(err)
	}
	return done("ALTER DATABASE"), nil
}

// settingOf checks a variable and computes its value; set is false if it is to be reset.
func (x *Session) settingOf(ctx context.Context, name string, s *ir.AlterDatabaseSet) (value string, set bool, err error) {
	v := x.vars
	spec := v.specs[name]
	switch _, live := v.live(name); {
	case spec == nil && !strings.Contains(name, "."):
		return "", false, v.unknown(name)
	case spec == nil:
		if err := reserved(name); err != nil {
			return "", false, err
		}
	case spec.fixed, live && !settable(name), name == waitForTXID, name == "bop.traceparent":
		return "", false, v.readOnlyError(name)
	}
	switch {
	case s.Reset, !s.Current && len(s.Values) == 0:
		return "", false, nil
	case s.Current:
		value, _ = v.get(name)
		return value, true, nil
	}
	parts := make([]string, len(s.Values))
	for i, e := range s.Values {
		if parts[i], err = x.text(ctx, e); err != nil {
			return "", false, err
		}
	}
	value = strings.Join(parts, ", ")
	if spec != nil {
		value, err = v.check(spec, value)
	}
	return value, true, err
}

// SettingsOf lists what a database says as pg_db_role_setting has it: name=value, in order.
func (st *connState) SettingsOf(database string) []string {
	e, ok := st.user.server.o.Engine.(engine.Configured)
	if !ok {
		return nil
	}
	all, err := e.Settings(st.user.base, database)
	if err != nil {
		return nil
	}
	list := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, name+"="+all[name])
	}
	return list
}
