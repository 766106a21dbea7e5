package funcs

import (
	"strconv"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Sequences are rows of __bop_sequences, changed in the transaction of the statement that calls nextval: unlike in
// PostgreSQL a rollback takes numbers back, and two transactions can't draw from one at the same time, since there is
// one writer.

func init() {
	const i8 = types.Int8
	writes := func(s *Signature) *Signature {
		s.Writes, s.Volatile = true, true
		return s
	}
	for _, k := range []types.Kind{types.Text, types.Regclass} {
		define(pg,
			writes(pgFn("nextval", i8, "bop_nextval($1)", k)),
			pgVolatile(pgFn("currval", i8, "bop_currval($1)", k)),
			writes(pgFn("setval", i8, "bop_setval($1, $2, 1)", k, i8)),
			writes(pgFn("setval", i8, "bop_setval($1, $2, $3)", k, i8, types.Bool)),
		)
	}
	define(pg, pgVolatile(pgFn("lastval", i8, "bop_lastval()")))
	implement(func(r *Registrar) {
		env := r.Env
		r.Impure("bop_nextval", 1, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			s, err := env.pgSequence(valueOf(arg[0]))
			if err == nil {
				var v int64
				if v, err = env.pgNextval(ctx.Conn(), s); err == nil {
					ctx.ResultInt64(v)
					return
				}
			}
			fail(ctx, err)
		})
		r.Impure("bop_currval", 1, pgStrict(func(a []types.Value) (types.Value, error) {
			s, err := env.pgSequence(a[0])
			if err != nil {
				return types.Value{}, err
			}
			v, ok := env.Sequences.Current[s.OID]
			if !ok {
				return types.Value{}, sqlerr.New("55000", "currval of sequence \"%s\" is not yet defined in this session", s.Name)
			}
			return types.IntValue(v), nil
		}))
		r.Impure("bop_lastval", 0, pgStrict(func([]types.Value) (types.Value, error) {
			v, ok := env.Sequences.Current[env.Sequences.Last]
			if !ok {
				return types.Value{}, sqlerr.New("55000", "lastval is not yet defined in this session")
			}
			return types.IntValue(v), nil
		}))
		r.Impure("bop_setval", 3, func(ctx sqlite3.Context, arg Values) {
			if anyNull(arg) {
				return
			}
			s, err := env.pgSequence(valueOf(arg[0]))
			if err == nil {
				err = env.pgSetval(ctx.Conn(), s, arg[1].Int64(), arg[2].Int64() != 0)
			}
			if err != nil {
				fail(ctx, err)
				return
			}
			ctx.ResultInt64(arg[1].Int64())
		})
	})
}

// pgSequence finds a sequence by name or OID.
func (e *Env) pgSequence(v types.Value) (Sequence, error) {
	c, ok := e.Catalog.(Sequences)
	if !ok {
		return Sequence{}, sqlerr.Unsupported("sequences outside of a session")
	}
	if v.Class != types.Int {
		return c.FindSequence(string(v.B), e.SearchPath)
	}
	s, ok := c.SequenceByOID(uint32(v.I))
	if !ok {
		return s, sqlerr.New("42P01", "relation with OID %d does not exist", v.I)
	}
	return s, nil
}

func pgSequenceTable(s Sequence) string {
	if s.Temp {
		return "temp.__bop_sequences"
	}
	return "main.__bop_sequences"
}

// pgNextval advances a sequence.
func (e *Env) pgNextval(c *sqlite3.Conn, s Sequence) (int64, error) {
	// A sequence that was never called gives its value itself; the last value within the bounds has no next one.
	table := pgSequenceTable(s)
	v, ok, err := pgQueryInt(c, "UPDATE "+table+" SET value = CASE WHEN called THEN value + ?2 ELSE value END, called = 1"+
		" WHERE oid = ?1 AND (NOT called OR ?2 > 0 AND value <= ?4 - ?2 OR ?2 < 0 AND value >= ?3 - ?2) RETURNING value",
		int64(s.OID), s.Increment, s.Min, s.Max)
	if err == nil && !ok && s.Cycle {
		first := s.Min
		if s.Increment < 0 {
			first = s.Max
		}
		v, ok, err = pgQueryInt(c, "UPDATE "+table+" SET value = ?2, called = 1 WHERE oid = ?1 RETURNING value", int64(s.OID), first)
	}
	switch {
	case err != nil:
		return 0, err
	case !ok && s.Increment > 0:
		return 0, sqlerr.New("2200H", "nextval: reached maximum value of sequence \"%s\" (%d)", s.Name, s.Max)
	case !ok:
		return 0, sqlerr.New("2200H", "nextval: reached minimum value of sequence \"%s\" (%d)", s.Name, s.Min)
	}
	e.pgRemember(s.OID, v)
	return v, nil
}

func (e *Env) pgRemember(oid uint32, v int64) {
	if e.Sequences.Current == nil {
		e.Sequences.Current = map[uint32]int64{}
	}
	e.Sequences.Current[oid] = v
	e.Sequences.Last = oid
}

func (e *Env) pgSetval(c *sqlite3.Conn, s Sequence, v int64, called bool) error {
	if v < s.Min || v > s.Max {
		return sqlerr.New("22003", "setval: value %d is out of bounds for sequence \"%s\" (%s..%s)",
			v, s.Name, strconv.FormatInt(s.Min, 10), strconv.FormatInt(s.Max, 10))
	}
	is := int64(0)
	if called {
		is = 1
	}
	_, ok, err := pgQueryInt(c, "UPDATE "+pgSequenceTable(s)+" SET value = ?2, called = ?3 WHERE oid = ?1 RETURNING value", int64(s.OID), v, is)
	if err != nil {
		return err
	}
	if !ok {
		return sqlerr.New("42P01", "relation \"%s\" does not exist", s.Name)
	}
	if called {
		if e.Sequences.Current == nil {
			e.Sequences.Current = map[uint32]int64{}
		}
		e.Sequences.Current[s.OID] = v
	}
	return nil
}

// pgQueryInt runs a statement on the calling connection and returns the number of its only row.
func pgQueryInt(c *sqlite3.Conn, sql string, args ...int64) (v int64, ok bool, err error) {
	st, _, err := c.Prepare(sql)
	if err != nil {
		return 0, false, err
	}
	defer st.Close()
	for i, a := range args {
		if err := st.BindInt64(i+1, a); err != nil {
			return 0, false, err
		}
	}
	for st.Step() {
		v, ok = st.ColumnInt64(0), true
	}
	return v, ok, st.Err()
}
