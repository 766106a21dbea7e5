package plan

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// literal makes the node of a constant.
func (b *builder) literal(l *ir.Literal) *node {
	v := l.Value
	n := constant(v, l.Type)
	n.pos = l.Pos
	switch {
	case v.IsNull():
		n.open = l.Type.Kind == types.Unknown
		return n
	case l.Type.Kind == types.Unknown:
		n.open, n.span = true, span{}
		if b.my() {
			n.open, n.typ = false, types.T(types.Text)
			n.coll = b.connectionCollation()
		}
		return n
	case b.my() && l.Type.IsString():
		if !l.Type.Binary {
			n.coll = b.connectionCollation()
		}
		return n
	case v.Class == types.String && l.Type.Kind != types.Text:
		return b.parse(n, l.Type, explicit)
	}
	return n
}

// connectionCollation is how MySQL compares strings that no column gives a collation.
func (b *builder) connectionCollation() string {
	if b.env.BinaryStrings {
		return ""
	}
	return "bop_ci"
}

// Two sessions that differ in all that the reading of dates can depend on: text that both read alike is a constant.
var probes = [...]types.Input{
	{Location: time.UTC, DateOrder: types.MDY, Now: time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)},
	{Location: time.FixedZone("probe", 5*3600+17*60), DateOrder: types.DMY, Now: time.Date(2014, 11, 9, 8, 7, 6, 0, time.UTC)},
	{Location: time.FixedZone("probe2", -9*3600), DateOrder: types.YMD, IntervalStyle: types.IntervalSQL, Now: time.Date(1999, 7, 30, 23, 7, 6, 0, time.UTC)},
}

// sessionKind reports whether reading text of t may depend on the session.
func sessionKind(k types.Kind) bool {
	return k >= types.Date && k <= types.Interval || k >= types.Regclass && k <= types.Regrole
}

// parse brings a text constant into the storage form of t: now if every session reads it alike, else when it runs.
func (b *builder) parse(n *node, t types.Type, level funcs.Level) *node {
	text := n.value.B
	dependent := sessionKind(t.Kind) || t.Kind == types.Array && sessionKind(t.Elem)
	inputs := probes[:1]
	if dependent {
		inputs = probes[:]
	}
	var first types.Value
	var firstErr error
	for i := range inputs {
		in := inputs[i]
		in.MySQL, in.Strict, in.ZeroDates, in.Explicit = b.my(), b.env.Strict, true, level == explicit
		in.Labels = b.labels
		warned := false
		if b.my() {
			in.Warn = func(uint16, string) { warned = true }
		}
		v, err := types.ParseText(t, text, &in)
		switch {
		case b.my() && (err != nil || warned):
			return b.parseLater(n, t, level, err)
		case i == 0:
			first, firstErr = v.Clone(), err
		case (err == nil) != (firstErr == nil) || err == nil && !sameValue(v, first):
			return b.parseLater(n, t, level, err)
		}
	}
	if firstErr != nil {
		if t.Kind >= types.Regclass && t.Kind <= types.Regrole {
			return b.parseLater(n, t, level, firstErr)
		}
		b.failParse(firstErr, n.pos)
	}
	c := constant(first, t)
	c.pos = n.pos
	b.setCollation(c)
	return c
}

func sameValue(a, c types.Value) bool {
	return a.Class == c.Class && a.I == c.I && a.F == c.F && bytes.Equal(a.B, c.B)
}

func (b *builder) failParse(err error, pos int) {
	var e *sqlerr.Error
	if errors.As(err, &e) {
		c := *e
		b.failAt(&c, pos)
	}
	b.failAt(sqlerr.New("22P02", "%s", err.Error()), pos)
}

// parseLater converts a text constant while the statement runs.
func (b *builder) parseLater(n *node, t types.Type, level funcs.Level, cause error) *node {
	if b.pg() {
		level = explicit // from text there is no other
	}
	c := constant(*n.value, types.T(types.Text))
	c.pos = n.pos
	if out := b.cast(c, t, level); out != nil {
		return out
	}
	if cause == nil {
		cause = sqlerr.New("42846", "cannot cast type text to %s", typeName(t))
	}
	b.failParse(cause, n.pos)
	return nil
}

// labels finds the labels of an enum for the reading of its values.
func (b *builder) labels(t types.Type) (string, []string) {
	if e := b.enum(t); e != nil {
		return e.Name, e.Labels
	}
	return "", nil
}

func (b *builder) enum(t types.Type) *schema.Enum {
	if b.env.Schema == nil {
		return nil
	}
	e, _ := b.env.Schema.ByOID[t.OID].(*schema.Enum)
	return e
}

// foldNumber converts a number constant to another number type; nil when that must wait.
func (b *builder) foldNumber(n *node, t types.Type) *node {
	v := *n.value
	switch {
	case v.Class == types.Int && (t.Kind == types.Float8 || t.Kind == types.Float4):
		return b.folded(n, types.FloatValue(float64(v.I)), t)
	case v.Class == types.Int && t.Kind == types.Numeric:
		return b.fitNumber(n, strconv.FormatInt(v.I, 10), t)
	case v.Class == types.Int && t.IsInteger() && n.typ.IsInteger():
		if !n.span.within(t) {
			if b.my() {
				return nil // an error or the nearest value, as the session is strict
			}
			name := typeName(t)
			b.failAt(sqlerr.New("22003", "%s out of range", name), n.pos)
		}
		return b.folded(n, v, t)
	case n.typ.Kind == types.Numeric && v.Class == types.String:
		switch {
		case t.Kind == types.Float8:
			f, err := strconv.ParseFloat(string(v.B), 64)
			if err == nil {
				return b.folded(n, types.FloatValue(f), t)
			}
		case t.Kind == types.Numeric:
			return b.fitNumber(n, string(v.B), t)
		case t.IsInteger() && b.pg():
			d, err := types.ParseDecimal(v.B)
			if err != nil {
				return nil
			}
			i, ok := d.Round(0).Int64()
			c := constant(types.IntValue(i), t)
			if !ok || !c.span.within(t) {
				b.failAt(sqlerr.New("22003", "%s out of range", typeName(t)), n.pos)
			}
			return b.folded(n, types.IntValue(i), t)
		}
	}
	return nil
}

func (b *builder) fitNumber(n *node, digits string, t types.Type) *node {
	v, err := types.ParseText(t, []byte(digits), nil)
	if err != nil {
		if b.my() {
			return nil
		}
		b.failParse(err, n.pos)
	}
	return b.folded(n, v, t)
}

func (b *builder) folded(n *node, v types.Value, t types.Type) *node {
	c := constant(v, t)
	c.pos = n.pos
	b.setCollation(c)
	return c
}
