package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// What a variable is for a session that doesn't set it: what the client said as it connected, else the database, else the
// server, else what it is by itself. A session keeps to what its database said when the session began.
//
// MySQL has no settings of databases, and the same name may mean something else there, so its clients get this server's
// own variables alone. They get them with each database that they come to, by the handshake or by USE: how safe commits
// and how fresh reads are belongs to the data, and MySQL's clients often choose their database only then. Which server
// serves a client is decided by the database of the handshake alone; a later USE doesn't move the connection.

// start sets a variable that the client sent with its connection.
func (v *vars) start(name, value string) error {
	name = canonical(strings.ToLower(name))
	if name == waitForTXID {
		return v.x.waitFor(v.x.base, value)
	}
	value, err := v.accept(name, value)
	if err != nil {
		return err
	}
	if v.x.mysql() && !own(name) {
		return v.store(name, value, false) // as SET NAMES would: COM_RESET_CONNECTION goes back to the server's
	}
	v.client[name] = value
	v.derive()
	return v.x.applied(name)
}

// unset is a variable's value while the session doesn't set it: what RESET goes back to.
func (v *vars) unset(name string) (string, bool) {
	if s, ok := v.client[name]; ok {
		return s, true
	}
	if live, ok := v.live(name); ok {
		return live, true
	}
	for _, said := range []map[string]string{v.database, v.server} {
		if s, ok := said[name]; ok {
			return s, true
		}
	}
	s := v.specs[name]
	if s == nil {
		return "", false
	}
	return s.def, true
}

// said is what somebody has said that a variable is, "" if nobody has. The variables that tell the session's state are
// computed of it.
func (v *vars) said(name string) string {
	for _, said := range []map[string]string{v.values, v.client, v.database, v.server} {
		if s, ok := said[name]; ok {
			return s
		}
	}
	return ""
}

// source is who says what a variable is, in the words of pg_settings.
func (v *vars) source(name string) string {
	for _, by := range []struct {
		said map[string]string
		who  string
	}{{v.values, "session"}, {v.client, "client"}, {v.database, "database"}, {v.server, "configuration file"}} {
		if _, ok := by.said[name]; ok {
			return by.who
		}
	}
	return "default"
}

// settings are what a database says.
func (x *Session) settings(ctx context.Context, database string) (map[string]string, error) {
	e, ok := x.server.o.Engine.(engine.Configured)
	if !ok {
		return nil, nil
	}
	all, err := e.Settings(ctx, database)
	if err != nil {
		return nil, sqlerr.FromSQLite(err)
	}
	return all, nil
}

// inherit takes over what a database says. Values that were good when they were stored and aren't any more, as another
// version of this program may see it, are warned of and left out: nobody could connect to put them right.
func (v *vars) inherit(settings map[string]string) {
	v.database = nil
	said := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if v.x.mysql() && !own(name) {
			continue
		}
		value, err := v.preset(name, settings[name])
		if err != nil {
			e := *sqlerr.FromSQLite(err)
			e.Severity = "WARNING"
			v.x.notice(&e)
			v.x.server.o.Logger.Warn("a setting of the database is left out", "database", v.x.Database(), "err", err)
			continue
		}
		said[name] = value
	}
	v.database = said
	v.derive()
}

// presettable refuses variables that no database and no server can say anything about.
func (v *vars) presettable(name string) error {
	s := v.specs[name]
	if s == nil {
		return v.custom(name)
	}
	_, live := v.live(name)
	switch {
	case name == "default_transaction_read_only", v.x.mysql() && ofTransactions(name):
		live = false // they begin with what was said, whatever else they tell
	}
	if s.fixed || live || name == waitForTXID || name == "bop.traceparent" {
		return v.readOnlyError(name)
	}
	return nil
}

// ofTransactions tells whether a variable is of the transaction that is open in PostgreSQL, where default_transaction_… are
// the session's, and of the session's transactions in MySQL.
func ofTransactions(name string) bool {
	return name == "transaction_isolation" || name == "transaction_read_only"
}

// preset returns the value that somebody has said for all sessions in the form that this one stores.
func (v *vars) preset(name, value string) (string, error) {
	if err := v.presettable(name); err != nil {
		return "", err
	}
	if s := v.specs[name]; s != nil {
		return v.check(s, value)
	}
	return value, nil
}

// checkDefaults returns the server's defaults as each dialect stores them. A variable that only one of them has is that
// one's.
func (s *Server) checkDefaults(defaults map[string]string) (map[ir.Dialect]map[string]string, error) {
	all := map[ir.Dialect]map[string]string{ir.Postgres: {}, ir.MySQL: {}}
	for name, text := range defaults {
		name = canonical(strings.ToLower(name))
		for d, said := range all {
			v := (&Session{server: s, cfg: Config{Dialect: d}}).bare()
			switch {
			case v.specs[name] == nil && (v.x.mysql() || mySpecs[name] != nil), !v.x.mysql() && ofTransactions(name):
				continue
			}
			value, err := v.preset(name, text)
			if name == "foreign_key_checks" {
				err = v.readOnlyError(name) // a connection follows it only when its session says so
			}
			if err != nil {
				return nil, defaultError(name, err)
			}
			said[name] = value
		}
	}
	return all, nil
}

// bare are variables of a session that isn't there, to check values with.
func (x *Session) bare() *vars {
	x.vars = &vars{x: x, specs: specsOf(x.cfg.Dialect)}
	return x.vars
}

// defaultError says why a variable can't have a default.
func defaultError(name string, err error) error {
	e := sqlerr.FromSQLite(err)
	if e.Hint != "" {
		return fmt.Errorf("the default of %s: %w: %s", name, e, e.Hint)
	}
	return fmt.Errorf("the default of %s: %w", name, e)
}

// Consistency is how fresh the reads of a client have to be: as it asks for, else as its database says, else the server.
func (s *Server) Consistency(ctx context.Context, asked, database string) string {
	if asked != "" {
		return asked
	}
	if e, ok := s.o.Engine.(engine.Configured); ok && database != "" {
		all, err := e.Settings(ctx, database) // an error is told when the session begins
		if level := all[readConsistency]; err == nil && level != "" {
			if _, known := ParseConsistency(level); known {
				return level
			}
		}
	}
	return s.defaults[ir.Postgres][readConsistency]
}

// alterDatabaseSet is PostgreSQL's ALTER DATABASE … SET and RESET.
func (x *Session) alterDatabaseSet(ctx context.Context, s *ir.AlterDatabaseSet) (*Result, error) {
	e, ok := x.server.o.Engine.(engine.Configured)
	if !ok {
		return nil, sqlerr.Unsupported("ALTER DATABASE SET")
	}
	if x.block.open && x.block.explicit {
		// PostgreSQL takes it back with the transaction. Here it isn't part of that, and so isn't promised to be.
		return nil, sqlerr.New("25001", "ALTER DATABASE SET cannot run inside a transaction block")
	}
	if err := x.mayWrite("ALTER DATABASE"); err != nil {
		return nil, err
	}
	if err := x.commitOpen(ctx); err != nil {
		return nil, err
	}
	if _, err := e.Settings(ctx, s.Name); err != nil {
		return nil, settingsError(s.Name, err)
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
	if err := e.ChangeSettings(ctx, s.Name, change); err != nil {
		return nil, settingsError(s.Name, err)
	}
	return done("ALTER DATABASE"), nil
}

func settingsError(database string, err error) error {
	if errors.Is(err, engine.ErrNoDatabase) {
		return sqlerr.New("3D000", `database "%s" does not exist`, database)
	}
	return sqlerr.FromSQLite(err)
}

// settingOf checks a variable and computes its value; set is false if it is to be reset.
func (x *Session) settingOf(ctx context.Context, name string, s *ir.AlterDatabaseSet) (value string, set bool, err error) {
	v := x.vars
	if err := v.presettable(name); err != nil {
		return "", false, err
	}
	switch {
	case s.Reset:
		return "", false, nil
	case s.Current:
		if value, set = v.get(name); !set {
			return "", false, v.unknown(name)
		}
		return value, true, nil
	}
	if value, err = x.joined(ctx, name, s.Values); err != nil {
		return "", false, err
	}
	checked, err := v.preset(name, value)
	if name != "datestyle" { // what it doesn't name is the next session's to fill in, not this one's
		value = checked
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
		return nil // it was dropped just now
	}
	list := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, st.user.vars.display(name)+"="+all[name])
	}
	return list
}
