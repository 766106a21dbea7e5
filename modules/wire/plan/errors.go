package plan

import (
	"unicode/utf8"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// failure carries an error from deep inside the analysis to the entry points, which recover it. It never leaves the
// package.
type failure struct{ err error }

// catch turns a failure into the error of an entry point.
func catch(err *error) {
	switch f := recover().(type) {
	case nil:
	case failure:
		*err = f.err
	default:
		panic(f)
	}
}

// fail ends the analysis.
func (b *builder) fail(err *sqlerr.Error) {
	panic(failure{err})
}

// failAt ends the analysis with an error at a byte offset of the statement's text.
func (b *builder) failAt(err *sqlerr.Error, pos int) {
	if err.Position == 0 && pos >= 0 && b.st != nil && pos <= len(b.st.Text) {
		err.At(b.st.Offset + utf8.RuneCountInString(b.st.Text[:pos]))
	}
	panic(failure{err})
}

// unsupported ends the analysis: what is not there yet.
func (b *builder) unsupported(what string) {
	panic(failure{sqlerr.Unsupported(what)})
}

// typeName names a type in messages, as PostgreSQL's format_type does without typmods.
func typeName(t types.Type) string {
	switch t.Kind {
	case types.Unknown:
		return "unknown"
	case types.Record:
		return "record"
	case types.Array:
		return typeName(types.T(t.Elem)) + "[]"
	}
	if t.OID == 0 {
		t.Len, t.Scale = 0, 0
	}
	if bt, ok := types.BuiltinByOID(t.PGOID()); ok {
		if bt.SQLName != "" {
			return bt.SQLName
		}
		return bt.Name
	}
	return "text"
}

// mustBool is PostgreSQL's complaint about a condition that isn't boolean.
func (b *builder) mustBool(n *node, clause string, pos int) *node {
	if b.d == ir.MySQL {
		return n
	}
	if n.open {
		return b.coerce(n, types.T(types.Bool), implicit)
	}
	if n.typ.Kind != types.Bool {
		b.failAt(sqlerr.New("42804", "argument of %s must be type boolean, not type %s", clause, typeName(n.typ)), pos)
	}
	return n
}
