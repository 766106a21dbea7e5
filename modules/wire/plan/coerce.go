package plan

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// base is t without its length, precision or fractional digits.
func base(t types.Type) types.Type {
	t.Len, t.Scale = 0, 0
	return t
}

// settle gives an open node the type text.
func (b *builder) settle(n *node) *node {
	if !n.open {
		if b.my() {
			return b.single(n)
		}
		return n
	}
	return b.coerce(n, b.openType(n), implicit)
}

// coerce converts n to t. It fails where the dialect has no such conversion at that level.
func (b *builder) coerce(n *node, t types.Type, level funcs.Level) *node {
	if n.open {
		return b.close(n, t, level)
	}
	if n.row != nil && n.sql == "" {
		n = b.record(b.single(n))
	}
	if n.typ == t {
		return n
	}
	if n.value != nil && !n.value.IsNull() {
		if c := b.foldNumber(n, t); c != nil {
			return c
		}
	}
	if b.my() && level == assignment && n.value != nil && n.typ.IsString() && !t.IsString() && t.Kind != types.Bytes {
		return b.parse(n, t, level)
	}
	if n.isNull() {
		c := constant(types.Value{}, t)
		c.pos = n.pos
		return c
	}
	if t.Kind == types.Unknown {
		return n
	}
	if out := b.cast(n, t, level); out != nil {
		return out
	}
	b.failAt(sqlerr.New("42846", "cannot cast type %s to %s", typeName(n.typ), typeName(t)), n.pos)
	return nil
}

// record is a row as one value: its text.
func (b *builder) record(n *node) *node {
	r := atom("("+b.recordText(n)+")", types.T(types.Record))
	r.notNull = true
	return r
}

// close gives an open node the type t.
func (b *builder) close(n *node, t types.Type, level funcs.Level) *node {
	switch {
	case n.param != 0:
		p := base(t)
		if b.params[n.param-1].Kind == types.Unknown {
			b.params[n.param-1] = p
		}
		c := *n
		c.open, c.typ, c.span = false, b.params[n.param-1], spanOf(b.params[n.param-1])
		b.setCollation(&c)
		return b.coerce(&c, t, level)
	case n.isNull():
		c := constant(types.Value{}, t)
		c.pos = n.pos
		return c
	case n.value != nil:
		return b.parse(n, t, level)
	case n.row != nil:
		return n
	}
	c := *n
	c.open, c.typ = false, t
	return &c
}

// convertible reports whether coerce would succeed for an expression of type from.
func (b *builder) convertible(from, to types.Type, level funcs.Level) bool {
	if base(from) == base(to) || from.Kind == types.Unknown || relabels(from, to) {
		return true
	}
	_, ok := funcs.Cast(b.d, from, to, level)
	return ok
}

// relabels reports whether values of from are values of to as they are.
func relabels(from, to types.Type) bool {
	if from.Kind == to.Kind && from.OID == to.OID && from.Elem == to.Elem {
		return to.Len == 0 || from.Len == to.Len && from.Scale == to.Scale
	}
	switch to.Kind {
	case types.Int2, types.Int4, types.Int8:
		if from.IsInteger() && from.Kind != types.Year {
			f, r := spanOf(from), spanOf(to)
			return f.lo >= r.lo && f.hi <= r.hi && !(from.Kind == types.Oid || from.Kind == types.Xid)
		}
	case types.Oid:
		return from.Kind >= types.Oid && from.Kind <= types.Regrole
	case types.Text:
		return from.Kind == types.Varchar || from.Kind == types.Name
	case types.Varchar:
		return to.Len == 0 && (from.Kind == types.Text || from.Kind == types.Name)
	case types.Bytes:
		return from.Kind == types.Bytes
	}
	return false
}

// cast applies a conversion; nil when the dialect has none at that level.
func (b *builder) cast(n *node, t types.Type, level funcs.Level) *node {
	if n.typ == t || relabels(n.typ, t) {
		c := *n
		c.typ, c.column = t, nil
		return &c
	}
	template, ok := funcs.Cast(b.d, n.typ, t, level)
	if !ok {
		return nil
	}
	out := b.template(template, []*node{n}, t)
	out.pos = n.pos
	if n.value != nil && template == "$1" {
		out.value, out.sql = n.value, ""
	}
	out.notNull = n.notNull && template == "$1"
	if template == "$1" {
		out.span, out.fast = n.span, n.fast
		if out.coll == n.coll {
			out.bare = n.bare
		}
	}
	return out
}

// setCollation gives a computed value the collation of its type.
func (b *builder) setCollation(n *node) {
	switch {
	case n.typ.Kind == types.Numeric:
		n.coll = "bop_decimal"
	case b.my() && n.typ.IsString() && !n.typ.Binary:
		n.coll = b.connectionCollation()
	default:
		n.coll = ""
	}
}

// template fills the printed arguments into $1, $2 … and $*, the codes of their types into $t1, $t2 … and $T.
func (b *builder) template(tpl string, args []*node, t types.Type) *node {
	n := &node{typ: t}
	b.setCollation(n)
	if tpl == "$1" && len(args) > 0 {
		n.sql, n.atom = args[0].text(), args[0].atom
		return n
	}
	var s strings.Builder
	for i := 0; i < len(tpl); i++ {
		if tpl[i] != '$' || i+1 == len(tpl) {
			s.WriteByte(tpl[i])
			continue
		}
		switch tpl[i+1] {
		case '*':
			i++
			s.WriteString(list(args))
			continue
		case 'T':
			i++
			s.WriteString(typeCodes(args))
			continue
		}
		j, k := i+1, 0
		code := tpl[j] == 't'
		if code {
			j++
		}
		for j < len(tpl) && tpl[j] >= '0' && tpl[j] <= '9' {
			k = k*10 + int(tpl[j]-'0')
			j++
		}
		if k == 0 || k > len(args) {
			s.WriteByte('$')
			continue
		}
		if code {
			s.WriteString(strconv.FormatInt(args[k-1].typ.Code(), 10))
			i = j - 1
			continue
		}
		before := s.Len() == 0 || strings.HasSuffix(tpl[:i], "(") || strings.HasSuffix(tpl[:i], ", ") || strings.HasSuffix(tpl[:i], ",")
		after := j == len(tpl) || tpl[j] == ')' || tpl[j] == ','
		if before && after {
			s.WriteString(args[k-1].text())
		} else {
			s.WriteString(args[k-1].arg())
		}
		i = j - 1
	}
	n.sql = s.String()
	n.atom = isCall(tpl)
	return n
}

// typeCodes prints the types of all arguments for functions that print values of any type.
func typeCodes(args []*node) string {
	var s strings.Builder
	s.WriteByte('\'')
	for i, a := range args {
		if i > 0 {
			s.WriteByte(',')
		}
		s.WriteString(strconv.FormatInt(a.typ.Code(), 10))
	}
	s.WriteByte('\'')
	return s.String()
}

// isCall reports whether a template is one function call or parenthesis from end to end.
func isCall(tpl string) bool {
	open := strings.IndexByte(tpl, '(')
	if open < 0 || tpl[len(tpl)-1] != ')' {
		return false
	}
	for _, c := range tpl[:open] {
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	depth := 0
	quoted := false
	for i := open; i < len(tpl); i++ {
		switch c := tpl[i]; {
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
			if depth == 0 {
				return i == len(tpl)-1
			}
		}
	}
	return false
}

// typeOf resolves a type name.
func (b *builder) typeOf(tn *ir.TypeName) types.Type {
	if tn.Type.Kind != types.Unknown || tn.Name.Name == "" {
		return tn.Type
	}
	name := tn.Name
	if s := b.env.Schema; s != nil {
		path := b.env.SearchPath
		if path == nil {
			path = defaultPath
		}
		if name.Schema != "" {
			path = []string{name.Schema}
		} else if s.HasTemp {
			path = append([]string{schema.TempNamespace}, path...)
		}
		for _, ns := range path {
			key := schema.Key{Namespace: ns, Name: name.Name}
			if e := s.Enums[key]; e != nil {
				if tn.Array {
					return types.Type{Kind: types.Array, Elem: types.Enum, OID: e.ArrayOID}
				}
				return types.Type{Kind: types.Enum, OID: e.OID}
			}
			if d := s.Domains[key]; d != nil {
				if tn.Array {
					return types.ArrayOf(d.Base.Kind)
				}
				return d.Base
			}
		}
	}
	if bt, ok := types.BuiltinByName(name.Name); ok && (name.Schema == "" || name.Schema == "pg_catalog") {
		t, _ := types.FromOID(bt.OID, -1)
		if tn.Array {
			return types.ArrayOf(t.Kind)
		}
		return t
	}
	shown := name.Name
	if name.Schema != "" {
		shown = name.Schema + "." + name.Name
	}
	if tn.Array {
		shown += "[]"
	}
	b.failAt(sqlerr.New("42704", "type \"%s\" does not exist", shown), tn.Pos)
	return types.Type{}
}
