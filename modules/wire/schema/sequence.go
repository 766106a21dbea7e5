package schema

import (
	"math"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
	"github.com/ncruces/go-sqlite3"
)

// ownSequence makes the sequence of a serial or identity column.
func (w *work) ownSequence(t *Table, c *Column, o *ir.SequenceOptions) error {
	name := freeName(t.Name, c.Name, "seq", func(n string) bool { return w.s.relationTaken(t.Namespace, n) })
	if o != nil && o.Name != nil && o.Name.Name != "" {
		name = o.Name.Name
		if w.s.relationTaken(t.Namespace, name) {
			return relationExists(name)
		}
	}
	q := &Sequence{Namespace: t.Namespace, Name: name, Owner: t.Owner, Type: types.T(c.Type.Kind), Temp: t.Temp,
		OwnedTable: t.OID, OwnedColumn: c.Num, Identity: c.Identity != ""}
	if q.Type.Kind != types.Int2 && q.Type.Kind != types.Int4 {
		q.Type.Kind = types.Int8
	}
	if o == nil {
		o = &ir.SequenceOptions{}
	}
	if _, err := sequenceOptions(q, o, true); err != nil {
		return err
	}
	if err := w.addSequence(q); err != nil {
		return err
	}
	c.Sequence = q.OID
	return w.defaultNextval(c, q)
}

// addSequence stores a new sequence with its first value.
func (w *work) addSequence(q *Sequence) (err error) {
	db := dbOf(q.Temp)
	if q.OID, err = w.newOID(db); err != nil {
		return err
	}
	if err := w.put(q); err != nil {
		return err
	}
	view := "CREATE VIEW "
	if q.Temp {
		view, w.s.HasTemp = "CREATE TEMP VIEW ", true
	}
	view += quote(q.relation().SQLName) + `(last_value, log_cnt, is_called) AS SELECT value, 0, called FROM "__bop_sequences" WHERE oid = ` +
		strconv.FormatUint(uint64(q.OID), 10)
	if err := exec(w.c, view); err != nil {
		return err
	}
	return w.setSequence(q, q.Start, false)
}

// relation is the view that shows a sequence's state.
func (q *Sequence) relation() *Table {
	t := &Table{OID: q.OID, Namespace: q.Namespace, Name: q.Name, SQLName: hiddenPrefix + "seq_" + strconv.FormatUint(uint64(q.OID), 10),
		Owner: q.Owner, Temp: q.Temp, View: true, Sequence: q.OID, LastColumn: 3, Dialect: "postgresql"}
	for i, name := range []string{"last_value", "log_cnt", "is_called"} {
		c := &Column{Num: int16(i + 1), Name: name, Type: types.T(types.Int8), Declared: "bigint", NotNull: true, Dialect: t.Dialect}
		if i == 2 {
			c.Type, c.Declared = types.T(types.Bool), "boolean"
		}
		t.Columns = append(t.Columns, c)
	}
	return t
}

// setSequence writes a sequence's value: the last one given out when called, else the next.
func (w *work) setSequence(q *Sequence, value int64, called bool) error {
	n := 0
	if called {
		n = 1
	}
	return exec(w.c, `INSERT INTO `+dbNames[dbOf(q.Temp)]+`."__bop_sequences"(oid, value, called) VALUES (?1, ?2, ?3)
		ON CONFLICT (oid) DO UPDATE SET value = excluded.value, called = excluded.called`, q.OID, value, n)
}

// defaultNextval makes nextval of q a column's default.
func (w *work) defaultNextval(c *Column, q *Sequence) error {
	c.NextVal = q.OID
	sql, _, err := w.expr(&ir.Func{Name: "nextval", Pos: -1, Args: []ir.Expr{
		&ir.Literal{Value: types.IntValue(int64(q.OID)), Type: types.T(types.Regclass), Pos: -1}}}, nil, nil)
	if err != nil {
		return err
	}
	c.DefaultSQL = sql
	if c.Identity == "" {
		c.Default = "nextval(" + text(qualified(q.Namespace, q.Name, Public)) + "::regclass)"
	}
	return nil
}

// nextvalOf returns the sequence of nextval('name'), nil for other expressions.
func (w *work) nextvalOf(e ir.Expr) (*Sequence, error) {
	f, ok := e.(*ir.Func)
	if !ok || f.Name != "nextval" || len(f.Args) != 1 || f.Schema != "" && f.Schema != "pg_catalog" {
		return nil, nil
	}
	arg := f.Args[0]
	for {
		c, ok := arg.(*ir.Cast)
		if !ok {
			break
		}
		arg = c.X
	}
	lit, ok := arg.(*ir.Literal)
	if !ok || lit.Value.Class != types.String {
		return nil, nil
	}
	return w.s.FindSequence(string(lit.Value.B), w.env.SearchPath)
}

// FindSequence resolves a sequence's name as clients write it in nextval('…'): folded unless quoted, qualified or
// searched for along path. 42P01 if there is none, 42809 if it is no sequence.
func (s *Schema) FindSequence(name string, path []string) (*Sequence, error) {
	ns, rel, err := SplitName(name)
	if err != nil {
		return nil, err
	}
	switch o := s.Relation(path, ns, rel).(type) {
	case *Sequence:
		return o, nil
	case nil:
		return nil, sqlerr.New("42P01", "relation \"%s\" does not exist", name)
	}
	return nil, sqlerr.New("42809", "\"%s\" is not a sequence", rel)
}

// SplitName reads a possibly qualified name as text: 'ns.name', '"Name"'. Unquoted parts are folded to lower case.
func SplitName(s string) (namespace, name string, err error) {
	bad := func() (string, string, error) {
		return "", "", sqlerr.New("42602", "invalid name syntax")
	}
	var list []string
	for s = strings.TrimSpace(s); ; {
		var part string
		if strings.HasPrefix(s, `"`) {
			end := quotedEnd(s, 0, '"')
			if end < 2 || s[end-1] != '"' {
				return bad()
			}
			part, s = strings.ReplaceAll(s[1:end-1], `""`, `"`), s[end:]
		} else {
			end := strings.IndexAny(s, ". \t\n\r\"")
			if end < 0 {
				end = len(s)
			}
			part, s = strings.ToLower(s[:end]), s[end:]
		}
		if part == "" {
			return bad()
		}
		list = append(list, part)
		s = strings.TrimSpace(s)
		if s == "" {
			break
		}
		if s[0] != '.' {
			return bad()
		}
		s = strings.TrimSpace(s[1:])
	}
	switch len(list) {
	case 1:
		return "", list[0], nil
	case 2, 3:
		return list[len(list)-2], list[len(list)-1], nil
	}
	return "", "", sqlerr.New("42601", "improper relation name (too many dotted names): %s", strings.Join(list, "."))
}

// sequenceOptions applies options; fresh says that what isn't given takes its default. restart tells where to begin
// again, nil: don't.
func sequenceOptions(q *Sequence, o *ir.SequenceOptions, fresh bool) (restart *int64, err error) {
	if o.Type.Type.Kind != types.Unknown {
		switch o.Type.Type.Kind {
		case types.Int2, types.Int4, types.Int8:
		default:
			return nil, sqlerr.New("22023", "sequence type must be smallint, integer, or bigint")
		}
		if !fresh {
			low, high := sequenceBounds(q.Type)
			newLow, newHigh := sequenceBounds(o.Type.Type)
			if q.Max == high {
				q.Max = newHigh
			}
			if q.Min == low {
				q.Min = newLow
			}
		}
		q.Type = types.T(o.Type.Type.Kind)
	}
	if fresh {
		q.Increment, q.Cache = 1, 1
	}
	if o.Increment != nil {
		if *o.Increment == 0 {
			return nil, sqlerr.New("22023", "INCREMENT must not be zero")
		}
		q.Increment = *o.Increment
	}
	low, high := sequenceBounds(q.Type)
	if fresh || o.NoMax {
		if q.Max = high; q.Increment < 0 {
			q.Max = -1
		}
	}
	if fresh || o.NoMin {
		if q.Min = 1; q.Increment < 0 {
			q.Min = low
		}
	}
	if o.Max != nil {
		q.Max = *o.Max
	}
	if o.Min != nil {
		q.Min = *o.Min
	}
	if q.Max < low || q.Max > high {
		return nil, sqlerr.New("22023", "MAXVALUE (%d) is out of range for sequence data type %s", q.Max, sequenceType(q.Type))
	}
	if q.Min < low || q.Min > high {
		return nil, sqlerr.New("22023", "MINVALUE (%d) is out of range for sequence data type %s", q.Min, sequenceType(q.Type))
	}
	if q.Min >= q.Max {
		return nil, sqlerr.New("22023", "MINVALUE (%d) must be less than MAXVALUE (%d)", q.Min, q.Max)
	}
	switch {
	case o.Start != nil:
		q.Start = *o.Start
	case fresh && q.Increment < 0:
		q.Start = q.Max
	case fresh:
		q.Start = q.Min
	}
	if q.Start < q.Min {
		return nil, sqlerr.New("22023", "START value (%d) cannot be less than MINVALUE (%d)", q.Start, q.Min)
	}
	if q.Start > q.Max {
		return nil, sqlerr.New("22023", "START value (%d) cannot be greater than MAXVALUE (%d)", q.Start, q.Max)
	}
	if o.Cache != nil {
		if *o.Cache < 1 {
			return nil, sqlerr.New("22023", "CACHE (%d) must be greater than zero", *o.Cache)
		}
		q.Cache = *o.Cache
	}
	if o.Cycle != nil {
		q.Cycle = *o.Cycle
	}
	switch {
	case o.Restart != nil:
		restart = o.Restart
	case o.RestartDefault:
		restart = &q.Start
	}
	if restart != nil && *restart < q.Min {
		return nil, sqlerr.New("22023", "RESTART value (%d) cannot be less than MINVALUE (%d)", *restart, q.Min)
	}
	if restart != nil && *restart > q.Max {
		return nil, sqlerr.New("22023", "RESTART value (%d) cannot be greater than MAXVALUE (%d)", *restart, q.Max)
	}
	return restart, nil
}

func sequenceBounds(t types.Type) (low, high int64) {
	switch t.Kind {
	case types.Int2:
		return math.MinInt16, math.MaxInt16
	case types.Int4:
		return math.MinInt32, math.MaxInt32
	}
	return math.MinInt64, math.MaxInt64
}

func sequenceType(t types.Type) string {
	switch t.Kind {
	case types.Int2:
		return "smallint"
	case types.Int4:
		return "integer"
	}
	return "bigint"
}

func (w *work) createSequence(n *ir.CreateSequence) error {
	w.res.Tag = "CREATE SEQUENCE"
	ns, err := w.createIn(n.Name, n.Temp)
	if err != nil {
		return err
	}
	if w.s.relationTaken(ns, n.Name.Name) {
		if n.IfNotExists {
			w.notice(sqlerr.New("42P07", "relation \"%s\" already exists, skipping", n.Name.Name))
			return nil
		}
		return relationExists(n.Name.Name)
	}
	q := &Sequence{Namespace: ns, Name: n.Name.Name, Owner: w.env.User, Type: types.T(types.Int8), Temp: ns == TempNamespace}
	if _, err := sequenceOptions(q, &n.Options, true); err != nil {
		return err
	}
	if err := w.sequenceOwner(q, &n.Options); err != nil {
		return err
	}
	return w.addSequence(q)
}

// sequenceOwner applies OWNED BY.
func (w *work) sequenceOwner(q *Sequence, o *ir.SequenceOptions) error {
	if o.OwnedNone {
		q.OwnedTable, q.OwnedColumn = 0, 0
		return nil
	}
	if o.OwnedTable == nil {
		return nil
	}
	t, err := w.table(*o.OwnedTable)
	if err != nil {
		return err
	}
	c := w.column(t, o.OwnedColumn)
	if c == nil {
		return noColumn(t, o.OwnedColumn)
	}
	if t.Namespace != q.Namespace {
		return sqlerr.New("55000", "sequence must be in same schema as table it is linked to")
	}
	q.OwnedTable, q.OwnedColumn = t.OID, c.Num
	return nil
}

// sequence looks for an existing sequence.
func (w *work) sequence(n ir.Name) (*Sequence, error) {
	o, err := w.find(n)
	if err != nil {
		return nil, err
	}
	switch o := o.(type) {
	case *Sequence:
		return o, nil
	case nil:
		return nil, w.noTable(n)
	}
	return nil, sqlerr.New("42809", "\"%s\" is not a sequence", n.Name)
}

func (w *work) alterSequence(n *ir.AlterSequence) error {
	w.res.Tag = "ALTER SEQUENCE"
	q, err := w.sequence(n.Name)
	if err != nil {
		if n.IfExists {
			w.notice(sqlerr.New("42P01", "relation \"%s\" does not exist, skipping", n.Name.Name))
			return nil
		}
		return err
	}
	return w.changeSequence(q, &n.Options)
}

func (w *work) changeSequence(old *Sequence, o *ir.SequenceOptions) error {
	q := *old
	restart, err := sequenceOptions(&q, o, false)
	if err != nil {
		return err
	}
	if o.OwnedTable != nil && q.Identity {
		return sqlerr.New("0A000", "cannot change ownership of identity sequence")
	}
	if err := w.sequenceOwner(&q, o); err != nil {
		return err
	}
	if err := w.put(&q); err != nil {
		return err
	}
	if restart != nil {
		return w.setSequence(&q, *restart, false)
	}
	db := dbNames[dbOf(q.Temp)]
	value, ok, err := number(w.c, `SELECT value FROM `+db+`."__bop_sequences" WHERE oid = ?1`, q.OID)
	if err != nil {
		return err
	}
	if ok && (value < q.Min || value > q.Max) {
		return sqlerr.New("22023", "RESTART value (%d) is outside MINVALUE (%d) and MAXVALUE (%d)", value, q.Min, q.Max)
	}
	return nil
}

// SequenceState is what SELECT * FROM a sequence shows.
type SequenceState struct {
	Value  int64
	Called bool
}

// ReadSequence reads a sequence's value.
func ReadSequence(c *sqlite3.Conn, q *Sequence) (SequenceState, error) {
	st := SequenceState{Value: q.Start}
	err := rows(c, `SELECT value, called FROM `+dbNames[dbOf(q.Temp)]+`."__bop_sequences" WHERE oid = ?1`, func(r *sqlite3.Stmt) error {
		st = SequenceState{r.ColumnInt64(0), r.ColumnBool(1)}
		return nil
	}, q.OID)
	return st, err
}
