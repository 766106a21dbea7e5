package session

import (
	"context"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// set is SET.
func (x *Session) set(ctx context.Context, s *ir.Set) (*Result, error) {
	for _, a := range s.Vars {
		if err := x.setOne(ctx, &a); err != nil {
			return nil, err
		}
	}
	return done("SET"), nil
}

func (x *Session) setOne(ctx context.Context, a *ir.SetVar) error {
	name := strings.ToLower(a.Name)
	switch name {
	case "transaction":
		if !x.block.open && x.mysql() {
			return x.defaultModes(a.Begin) // MySQL: for the next transaction; kept for the session's others as well
		}
		if !x.block.open {
			x.warning("25P01", "SET TRANSACTION can only be used in transaction blocks")
			return nil
		}
		return x.setModes(a.Begin)
	case "session_characteristics":
		return x.defaultModes(a.Begin)
	case "names", "character_set":
		return x.setNames(ctx, name, a)
	case "constraints":
		return x.setConstraints(ctx, a)
	case "role", "session_authorization":
		if len(a.Values) == 0 {
			return nil
		}
		role, err := x.text(ctx, a.Values[0])
		if err != nil {
			return err
		}
		if role == x.cfg.User || strings.EqualFold(role, "none") || strings.EqualFold(role, "default") {
			return nil
		}
		return sqlerr.New("42704", `role "%s" does not exist`, role)
	}
	if a.Scope == "user" {
		v, err := x.evaluate(ctx, a.Values[0], types.Type{}, nil)
		if err != nil {
			return err
		}
		return x.setUserVariable(name, v)
	}
	if len(a.Values) == 0 {
		return x.vars.reset(canonical(name))
	}
	value, err := x.joined(ctx, name, a.Values)
	if err != nil {
		return err
	}
	if a.Scope == "global" && x.vars.specs[name] != nil {
		return sqlerr.New("42501", "variables of the whole server are set by its configuration").
			My(1227, "Access denied; variables of the whole server are set by its configuration")
	}
	if name == waitForTXID {
		return x.waitFor(ctx, value)
	}
	return x.vars.assign(name, value, a.Scope == "local")
}

// lists are PostgreSQL's variables that take several values.
var lists = map[string]bool{"datestyle": true, "search_path": true, "temp_tablespaces": true}

// joined computes the value that SET gives a variable.
func (x *Session) joined(ctx context.Context, name string, values []ir.Expr) (string, error) {
	if len(values) > 1 && !x.mysql() && !lists[name] {
		return "", sqlerr.New("22023", "SET %s takes only one argument", name)
	}
	parts := make([]string, len(values))
	for i, e := range values {
		var err error
		if parts[i], err = x.text(ctx, e); err != nil {
			return "", err
		}
	}
	return strings.Join(parts, ", "), nil
}

// text computes the value of SET: a bare name is itself.
func (x *Session) text(ctx context.Context, e ir.Expr) (string, error) {
	switch e := e.(type) {
	case *ir.ColumnRef:
		return e.Name, nil
	case *ir.Literal:
		switch e.Value.Class {
		case types.String, types.Blob:
			return string(e.Value.B), nil
		case types.Int:
			if e.Type.Kind == types.Bool {
				return x.vars.boolean(e.Value.I != 0), nil
			}
			return strconv.FormatInt(e.Value.I, 10), nil
		case types.Float:
			return strconv.FormatFloat(e.Value.F, 'g', -1, 64), nil
		}
		return "", nil
	}
	v, err := x.evaluate(ctx, e, types.Type{}, nil)
	switch v.Class {
	case types.Int:
		return strconv.FormatInt(v.I, 10), err
	case types.Float:
		return strconv.FormatFloat(v.F, 'g', -1, 64), err
	}
	return string(v.B), err
}

func (x *Session) setUserVariable(name string, v types.Value) error {
	if x.vars.user == nil {
		x.vars.user = map[string]any{}
	}
	switch v.Class {
	case types.Int:
		x.vars.user[name] = v.I
	case types.Float:
		x.vars.user[name] = v.F
	case types.String:
		x.vars.user[name] = string(v.B)
	case types.Blob:
		x.vars.user[name] = v.B
	default:
		delete(x.vars.user, name)
	}
	return nil
}

// defaultModes sets the modes of the session's transactions.
func (x *Session) defaultModes(m *ir.Begin) error {
	isolationName, readOnlyName := "default_transaction_isolation", "default_transaction_read_only"
	if x.mysql() {
		isolationName, readOnlyName = "transaction_isolation", "transaction_read_only"
	}
	if m.Isolation != "" {
		level, ok := parseIsolation(m.Isolation)
		if !ok {
			return sqlerr.New("22023", "unknown isolation level %q", m.Isolation)
		}
		if err := x.vars.store(isolationName, level.String(), false); err != nil {
			return err
		}
	}
	if m.ReadOnly != nil {
		return x.vars.store(readOnlyName, x.vars.boolean(*m.ReadOnly), false)
	}
	return nil
}

// setNames is SET NAMES and SET CHARACTER SET. Everything is UTF-8; clients that say something compatible are believed.
func (x *Session) setNames(ctx context.Context, name string, a *ir.SetVar) error {
	charset, collation := "utf8mb4", ""
	if len(a.Values) > 0 {
		v, err := x.text(ctx, a.Values[0])
		if err != nil {
			return err
		}
		charset = strings.ToLower(v)
	}
	if !x.mysql() {
		return x.vars.assign("client_encoding", charset, false)
	}
	if len(a.Values) > 1 {
		v, err := x.text(ctx, a.Values[1])
		if err != nil {
			return err
		}
		collation = strings.ToLower(v)
	}
	switch charset {
	case "default", "":
		charset = "utf8mb4"
	case "utf8mb4", "utf8", "utf8mb3", "latin1", "ascii", "binary":
	default:
		return sqlerr.New("22023", "unknown character set").My(1115, "Unknown character set: '%s'", charset)
	}
	for _, n := range []string{"character_set_client", "character_set_connection", "character_set_results"} {
		x.vars.values[n] = charset
	}
	if collation == "" {
		collation = map[string]string{"utf8mb4": "utf8mb4_0900_ai_ci", "latin1": "latin1_swedish_ci", "binary": "binary", "ascii": "ascii_general_ci"}[charset]
		if collation == "" {
			collation = charset + "_general_ci"
		}
	}
	return x.vars.store("collation_connection", collation, false)
}

// setConstraints makes SQLite check foreign keys at the end of the transaction, or as they are declared.
func (x *Session) setConstraints(ctx context.Context, a *ir.SetVar) error {
	if !x.block.open {
		x.warning("25P01", "SET CONSTRAINTS can only be used in transaction blocks")
		return nil
	}
	mode, err := x.text(ctx, a.Values[0])
	if err != nil {
		return err
	}
	l, err := x.writeConn(ctx, "SET CONSTRAINTS")
	if err != nil {
		return err
	}
	if mode == "deferred" {
		return l.exec("PRAGMA defer_foreign_keys = ON")
	}
	return l.exec("PRAGMA defer_foreign_keys = OFF")
}

// applied does what has to happen when a variable got another value.
func (x *Session) applied(name string) error {
	switch name {
	case "foreign_key_checks":
		if x.block.begun {
			return nil // SQLite's switch works between transactions; Apply and the next one see the variable
		}
		if x.db != nil && x.vars.foreignKeysOff != x.vars.temporary {
			return x.switchForeignKeys(x.base, !x.vars.foreignKeysOff)
		}
	case "bop.strict_reads":
		return x.holdReads(x.base)
	case "autocommit":
		if x.vars.autocommit {
			return x.commitOpen(x.base)
		}
	}
	return nil
}

func (x *Session) reset(s *ir.Reset) (*Result, error) {
	if s.Discard == "" {
		return done("RESET"), x.vars.reset(canonical(strings.ToLower(s.Name)))
	}
	tag := "DISCARD " + s.Discard
	if s.Discard == "ALL" {
		if x.block.open {
			return nil, sqlerr.New("25001", "DISCARD ALL cannot run inside a transaction block")
		}
		if err := x.Reset(x.base); err != nil {
			return nil, err
		}
	}
	if s.Discard == "TEMP" && x.vars.temporary {
		x.letGo(true)
	}
	return done(tag), nil
}

// Reset puts the session back to how it began: MySQL's COM_RESET_CONNECTION, PostgreSQL's DISCARD ALL.
func (x *Session) Reset(ctx context.Context) error {
	if x.block.open {
		x.rollbackBlock()
	}
	x.closeCursors(func(*cursor) bool { return true })
	x.letGo(x.vars.temporary)
	clear(x.prepared)
	x.listen("*", false)
	x.releaseLocks()
	x.vars.user = nil
	x.lastInsertID, x.rowCount, x.foundRows, x.warnings = 0, 0, 0, nil
	return x.vars.reset("")
}

// show is PostgreSQL's SHOW.
func (x *Session) show(name string) (*Result, error) {
	name = canonical(strings.ToLower(name))
	if name == "all" {
		var rows [][]types.Value
		for _, s := range x.vars.settings(false) {
			rows = append(rows, textRow(s.Name, s.Value, s.Description))
		}
		sortRows(rows)
		r := table("SHOW", textColumns("name", "setting", "description"), rows)
		return r, nil
	}
	value, ok := x.vars.get(name)
	if !ok {
		return nil, x.vars.unknown(name)
	}
	return table("SHOW", textColumns(x.vars.display(name)), [][]types.Value{textRow(value)}), nil
}

// Parameters are the variables that a PostgreSQL client is told as it connects, in a fixed order.
func (x *Session) Parameters() [][2]string {
	var out [][2]string
	for _, name := range reported {
		value, _ := x.vars.get(name)
		out = append(out, [2]string{x.vars.display(name), value})
	}
	return out
}
