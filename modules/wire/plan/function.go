package plan

import (
	"fmt"
	"strings"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// call resolves a function call.
func (b *builder) call(f *ir.Func, sc *level) *node {
	if f.Over != nil {
		return b.windowCall(f, sc)
	}
	if n := b.builtin(f, sc); n != nil {
		n.pos = f.Pos
		return n
	}
	if b.isAggregate(f) {
		return b.aggregateCall(f, sc)
	}
	args := b.callArgs(f, sc)
	if s, as := b.choose(b.plain(f), args, false); s != nil {
		if s.Form == funcs.SetReturning {
			return b.setCall(f, s, as, sc)
		}
		n := b.apply(s, as)
		n.pos = f.Pos
		return n
	}
	if n := b.castCall(f, args); n != nil {
		return n
	}
	b.noFunction(f, args)
	return nil
}

// plain are the overloads of a function that a call without OVER or aggregate clauses can mean.
func (b *builder) plain(f *ir.Func) []*funcs.Signature {
	switch f.Schema {
	case "", "pg_catalog", "information_schema", "public":
	default:
		if b.pg() {
			return nil
		}
	}
	return funcs.Lookup(b.d, f.Name)
}

func (b *builder) callArgs(f *ir.Func, sc *level) []*node {
	args := make([]*node, 0, len(f.Args))
	for _, a := range f.Args {
		n := b.interval(a, sc)
		args = append(args, n)
	}
	args = spread(args)
	if len(f.ArgNames) == len(args) {
		args = b.namedArgs(f, args)
	}
	return args
}

// namedArgs puts arguments given by name into their places. Signatures have no names: those that applications use by
// name are known here.
func (b *builder) namedArgs(f *ir.Func, args []*node) []*node {
	named := false
	for _, name := range f.ArgNames {
		named = named || name != ""
	}
	if !named {
		return args
	}
	order := argNames[f.Name]
	out := make([]*node, len(args))
	for i, a := range args {
		at := i
		if name := f.ArgNames[i]; name != "" {
			at = -1
			for k, want := range order {
				if want == name {
					at = k
				}
			}
			if at < 0 {
				b.noFunction(f, args)
			}
		}
		if at >= len(out) || out[at] != nil {
			b.noFunction(f, args)
		}
		out[at] = a
	}
	return out
}

var argNames = map[string][]string{
	"make_interval":    {"years", "months", "weeks", "days", "hours", "mins", "secs"},
	"make_date":        {"year", "month", "day"},
	"make_time":        {"hour", "min", "sec"},
	"make_timestamp":   {"year", "month", "mday", "hour", "min", "sec"},
	"make_timestamptz": {"year", "month", "mday", "hour", "min", "sec", "timezone"},
	"jsonb_set":        {"jsonb_in", "path", "replacement", "create_if_missing"},
	"parse_ident":      {"str", "strict"},
	"regexp_replace":   {"string", "pattern", "replacement", "start", "N", "flags"},
}

// castCall is PostgreSQL's int4(x), date(x): a conversion written as a function.
func (b *builder) castCall(f *ir.Func, args []*node) *node {
	if b.my() || len(args) != 1 || f.Schema != "" && f.Schema != "pg_catalog" {
		return nil
	}
	bt, ok := types.BuiltinByName(f.Name)
	if !ok {
		return nil
	}
	t, known := types.FromOID(bt.OID, -1)
	if !known || !args[0].open && !b.convertible(args[0].typ, t, explicit) {
		return nil
	}
	return b.coerce(args[0], t, explicit)
}

func (b *builder) noFunction(f *ir.Func, args []*node) {
	var ts []string
	for _, a := range args {
		if a.open && a.param == 0 || a.typ.Kind == types.Unknown {
			ts = append(ts, "unknown")
			continue
		}
		ts = append(ts, typeName(a.typ))
	}
	name := f.Name
	if f.Schema != "" {
		name = f.Schema + "." + name
	}
	known := len(funcs.Lookup(b.d, f.Name)) > 0
	err := sqlerr.New("42883", "function %s(%s) does not exist", name, strings.Join(ts, ", ")).
		WithHint("No function matches the given name and argument types. You might need to add explicit type casts.")
	if known {
		err.My(1582, "Incorrect parameter count in the call to native function '%s'", f.Name)
	} else {
		err.My(1305, "FUNCTION %s.%s does not exist", b.env.Database, f.Name)
	}
	b.failAt(err, f.Pos)
}

// internal calls a function that the packages below provide for the planner by name.
func (b *builder) internal(name string, args ...*node) *node {
	if n := b.tryInternal(name, args...); n != nil {
		return n
	}
	b.fail(sqlerr.New("42883", "function %s does not exist", name))
	return nil
}

func (b *builder) tryInternal(name string, args ...*node) *node {
	s, as := b.choose(funcs.Lookup(b.d, name), args, false)
	if s == nil {
		return nil
	}
	return b.apply(s, as)
}

// binding is one way to read a signature for a number of arguments.
type binding struct {
	sig   *funcs.Signature
	kinds []types.Kind
}

// bind spreads a signature's arguments over n; ok is false when the number doesn't fit.
func bind(s *funcs.Signature, n int) (binding, bool) {
	least := len(s.Args) - s.Optional
	if s.Variadic && s.Optional == 0 {
		least = len(s.Args) // a variadic argument is there at least once
		if least > 0 && s.Args[least-1] == funcs.Any {
			least--
		}
	}
	if n < least || !s.Variadic && n > len(s.Args) {
		return binding{}, false
	}
	if n <= len(s.Args) {
		return binding{s, s.Args[:n]}, true
	}
	kinds := make([]types.Kind, n)
	copy(kinds, s.Args)
	for i := len(s.Args); i < n; i++ {
		kinds[i] = s.Args[len(s.Args)-1]
	}
	return binding{s, kinds}, true
}

// choose picks an overload for the arguments by the dialect's rules and converts the arguments; nil when none fits.
func (b *builder) choose(sigs []*funcs.Signature, args []*node, operator bool) (*funcs.Signature, []*node) {
	if len(sigs) == 0 {
		return nil, nil
	}
	var found []binding
	for _, s := range sigs {
		if bd, ok := bind(s, len(args)); ok {
			found = append(found, bd)
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	var best binding
	var ok bool
	if b.my() {
		best, ok = b.chooseMySQL(found, args)
	} else {
		best, ok = b.choosePostgres(found, args, operator)
	}
	if !ok {
		return nil, nil
	}
	return best.sig, b.convertArgs(best, args)
}

// accepts reports whether an argument is of the kind that a signature wants, exactly.
func exactKind(n *node, k types.Kind) bool {
	switch k {
	case funcs.Any, funcs.AnyElem:
		return false
	case funcs.AnyArray:
		return n.typ.Kind == types.Array
	}
	return !n.open && n.typ.Kind == k
}

// takes reports whether an argument can be given where kind k is wanted.
func (b *builder) takes(n *node, k types.Kind) bool {
	switch k {
	case funcs.Any, funcs.AnyElem:
		return true
	case funcs.AnyArray:
		return n.open || n.typ.Kind == types.Array || n.typ.Kind == types.Int2Vector || n.typ.Kind == types.OidVector
	case types.Array:
		return n.open || n.typ.Kind == types.Array || n.typ.Kind == types.Int2Vector || n.typ.Kind == types.OidVector
	case types.Record:
		return n.row != nil
	}
	if n.open || n.typ.Kind == types.Unknown || n.isNull() {
		return true
	}
	if n.row != nil && n.sql == "" {
		return false
	}
	if n.typ.Kind == k {
		return true
	}
	return b.convertible(n.typ, types.T(k), implicit)
}

// consistent checks that AnyElem and AnyArray agree.
func (b *builder) consistent(bd binding, args []*node) bool {
	elem, ok := b.element(bd, args)
	if !ok {
		return false
	}
	if elem.Kind == types.Unknown {
		return true
	}
	for i, k := range bd.kinds {
		if k == funcs.AnyElem && !args[i].open && !args[i].isNull() && !b.convertible(args[i].typ, elem, implicit) {
			return false
		}
	}
	return true
}

// element is what AnyElem and AnyArray stand for; Unknown if no argument says.
func (b *builder) element(bd binding, args []*node) (types.Type, bool) {
	var elem types.Type
	var elems []*node
	for i, k := range bd.kinds {
		if k == funcs.AnyArray && args[i].typ.Kind == types.Array {
			e := b.elemType(args[i].typ)
			if elem.Kind != types.Unknown && base(elem) != base(e) {
				return e, false
			}
			elem = e
		}
		if k == funcs.AnyArray && (args[i].typ.Kind == types.Int2Vector || args[i].typ.Kind == types.OidVector) {
			elem = types.T(types.Int2)
			if args[i].typ.Kind == types.OidVector {
				elem = types.T(types.Oid)
			}
		}
		if k == funcs.AnyElem && !args[i].open {
			elems = append(elems, args[i])
		}
	}
	if elem.Kind == types.Unknown && len(elems) > 0 {
		elem = b.tryCommon(elems)
		if elem.Kind == types.Unknown {
			return elem, false
		}
	}
	return elem, true
}

// choosePostgres follows func_select_candidate: exact matches, then preferred types, then the category of the untyped
// arguments.
func (b *builder) choosePostgres(found []binding, args []*node, operator bool) (binding, bool) {
	if operator && len(args) == 2 && args[0].open != args[1].open {
		// An untyped operand is first tried as of its partner's type.
		known := args[0]
		if known.open {
			known = args[1]
		}
		for _, bd := range found {
			if bd.kinds[0] == known.typ.Kind && bd.kinds[1] == known.typ.Kind {
				return bd, true
			}
		}
	}
	found = filter(found, func(bd binding) bool {
		for i, k := range bd.kinds {
			if !b.takes(args[i], k) {
				return false
			}
		}
		return b.consistent(bd, args)
	})
	if len(found) <= 1 {
		return first(found)
	}
	found = best(found, func(bd binding) int {
		score := 0
		for i, k := range bd.kinds {
			if exactKind(args[i], k) {
				score++
			}
		}
		return score
	})
	if len(found) == 1 {
		return found[0], true
	}
	found = best(found, func(bd binding) int {
		score := 0
		for i, k := range bd.kinds {
			if exactKind(args[i], k) || k < funcs.Any && preferred(types.T(k)) && (args[i].open || category(types.T(k)) == category(args[i].typ)) {
				score++
			}
		}
		return score
	})
	if len(found) == 1 {
		return found[0], true
	}
	for i := range args {
		if !args[i].open {
			continue
		}
		var cat byte
		conflict := false
		for _, bd := range found {
			if bd.kinds[i] >= funcs.Any {
				continue
			}
			c := category(types.T(bd.kinds[i]))
			switch {
			case c == 'S':
				cat, conflict = 'S', false
			case cat == 0:
				cat = c
			case cat != c && cat != 'S':
				conflict = true
			}
		}
		if cat == 0 || conflict {
			continue
		}
		keep := filter(found, func(bd binding) bool {
			return bd.kinds[i] < funcs.Any && category(types.T(bd.kinds[i])) == cat
		})
		if pref := filter(keep, func(bd binding) bool { return preferred(types.T(bd.kinds[i])) }); len(pref) > 0 {
			keep = pref
		}
		if len(keep) > 0 {
			found = keep
		}
	}
	if len(found) == 1 {
		return found[0], true
	}
	if operator && len(args) == 2 && args[0].open && args[1].open {
		b.failAt(sqlerr.New("42725", "operator is not unique: unknown %s unknown", found[0].sig.Name).
			WithHint("Could not choose a best candidate operator. You might need to add explicit type casts."), args[0].pos)
	}
	// Overloads for everything come last; among equals the first defined.
	found = best(found, func(bd binding) int {
		score := 0
		for _, k := range bd.kinds {
			if k < funcs.Any {
				score++
			}
		}
		return score
	})
	return first(found)
}

// chooseMySQL takes the overload whose kinds are nearest: MySQL converts any argument to any.
func (b *builder) chooseMySQL(found []binding, args []*node) (binding, bool) {
	found = best(found, func(bd binding) int {
		score := 0
		for i, k := range bd.kinds {
			n := args[i]
			switch {
			case k == funcs.Any:
				score += 4
			case n.open || n.isNull():
				score += 4
			case n.typ.Kind == k:
				score += 8
			case isNumberMySQL(n.typ) && isNumberMySQL(types.T(k)):
				score += 5
				if n.typ.IsInteger() && types.T(k).IsInteger() {
					score++
				}
				if n.typ.IsInteger() && k == types.Numeric {
					score++
				}
				if n.typ.Kind == types.Numeric && types.T(k).IsInteger() {
					score -= 2
				}
			case n.typ.IsString() && types.T(k).IsString():
				score += 6
			case n.typ.IsTime() && types.T(k).IsTime():
				score += 5
				if k == types.Timestamp {
					score++
				}
			case types.T(k).IsString():
				score += 3
			case k == types.Float8:
				score += 2
			default:
				score++
			}
		}
		return score
	})
	return first(found)
}

func first(found []binding) (binding, bool) {
	if len(found) == 0 {
		return binding{}, false
	}
	return found[0], true
}

func filter(found []binding, keep func(binding) bool) []binding {
	var out []binding
	for _, bd := range found {
		if keep(bd) {
			out = append(out, bd)
		}
	}
	return out
}

// best keeps the bindings with the highest score.
func best(found []binding, score func(binding) int) []binding {
	top := -1
	var out []binding
	for _, bd := range found {
		switch s := score(bd); {
		case s > top:
			top, out = s, []binding{bd}
		case s == top:
			out = append(out, bd)
		}
	}
	return out
}

// convertArgs brings the arguments to what the chosen signature takes.
func (b *builder) convertArgs(bd binding, args []*node) []*node {
	elem, _ := b.element(bd, args)
	out := make([]*node, len(args))
	for i, k := range bd.kinds {
		n := args[i]
		switch k {
		case funcs.Any:
			out[i] = b.settle(n)
			if n.row != nil && n.sql == "" {
				out[i] = b.record(n)
			}
		case funcs.AnyElem:
			t := elem
			if t.Kind == types.Unknown {
				t = types.T(types.Text)
			}
			out[i] = b.coerce(n, t, implicit)
		case funcs.AnyArray:
			switch {
			case n.open:
				t := elem
				if t.Kind == types.Unknown {
					t = types.T(types.Text)
				}
				out[i] = b.close(n, b.arrayOf(t), implicit)
			case n.typ.Kind == types.Int2Vector || n.typ.Kind == types.OidVector:
				e, source := b.elements(n, n.pos)
				out[i] = raw(source, types.ArrayOf(e.Kind))
			default:
				out[i] = n
			}
		case types.Array:
			if n.typ.Kind == types.Int2Vector || n.typ.Kind == types.OidVector {
				e, source := b.elements(n, n.pos)
				out[i] = raw(source, types.ArrayOf(e.Kind))
				continue
			}
			if n.open {
				out[i] = b.close(n, types.ArrayOf(types.Text), implicit)
				continue
			}
			out[i] = n
		case types.Record:
			out[i] = n
		default:
			if n.typ.Kind == k && !n.open {
				out[i] = n
				continue
			}
			level := implicit
			if b.my() {
				level = explicit
			}
			out[i] = b.coerce(n, types.T(k), level)
		}
	}
	return out
}

// apply prints a call of a chosen signature with converted arguments.
func (b *builder) apply(s *funcs.Signature, args []*node) *node {
	b.writes = b.writes || s.Writes
	b.volatile = b.volatile || s.Writes || s.Volatile
	n := b.printCall(s, args)
	n.typ = b.resultType(s, args)
	b.setCollation(n)
	if n.typ.IsString() || s.Result == funcs.Same {
		for _, a := range args {
			if a.coll != "" && a.typ.IsString() {
				n.coll = a.coll
				break
			}
		}
	}
	n.span = span{}
	if s.Form == funcs.Scalar && n.typ.Kind == types.Bool {
		n.span = span{0, 1, true}
	}
	return n
}

func (b *builder) printCall(s *funcs.Signature, args []*node) *node {
	if s.SQL != "" {
		return b.template(s.SQL, args, types.Type{})
	}
	return atom(s.Name+"("+list(args)+")", types.Type{})
}

// resultType is the type of a call.
func (b *builder) resultType(s *funcs.Signature, args []*node) types.Type {
	if s.ResultOf != nil {
		ts := make([]types.Type, len(args))
		for i, a := range args {
			ts[i] = a.typ
		}
		return s.ResultOf(ts)
	}
	switch s.Result {
	case funcs.Same:
		if len(args) > 0 {
			return args[0].typ
		}
		return types.T(types.Text)
	case funcs.AnyElem, funcs.AnyArray:
		bd, _ := bind(s, len(args))
		elem, _ := b.element(bd, args)
		if elem.Kind == types.Unknown {
			elem = types.T(types.Text)
		}
		if s.Result == funcs.AnyArray {
			return b.arrayOf(elem)
		}
		return elem
	case funcs.Any:
		return types.T(types.Text)
	}
	return types.T(s.Result)
}

// builtin resolves the functions that are really syntax; nil for others.
func (b *builder) builtin(f *ir.Func, sc *level) *node {
	if f.Schema != "" && f.Schema != "pg_catalog" {
		return nil
	}
	switch f.Name {
	case "coalesce", "ifnull":
		if f.Name == "ifnull" && (b.pg() || len(f.Args) != 2) || len(f.Args) == 0 {
			return nil
		}
		return b.coalesce(f, sc)
	case "nullif":
		if len(f.Args) != 2 {
			return nil
		}
		l, r := b.expr(f.Args[0], sc), b.expr(f.Args[1], sc)
		cmp := b.compare("=", l, r, f.Pos)
		l = b.settle(l)
		lc, rc, coll, ok := b.comparable(l, r)
		if ok && lc.typ == l.typ {
			n := atom("nullif("+lc.arg()+coll+", "+rc.text()+")", l.typ)
			n.coll = l.coll
			return n
		}
		n := atom("CASE WHEN "+cmp.text()+" THEN NULL ELSE "+l.text()+" END", l.typ)
		n.coll = l.coll
		return n
	case "greatest", "least":
		return b.extreme(f, sc)
	case "if":
		if b.pg() || len(f.Args) != 3 {
			return nil
		}
		return b.caseExpr(&ir.Case{Whens: []ir.When{{Cond: f.Args[0], Then: f.Args[1]}}, Else: f.Args[2], Pos: f.Pos}, sc)
	case "pg_typeof":
		if b.pg() && len(f.Args) == 1 {
			a := b.expr(f.Args[0], sc)
			t := a.typ
			if a.open && a.param == 0 {
				t = types.T(types.Unknown)
			}
			return constant(types.IntValue(int64(t.PGOID())), types.T(types.Regtype))
		}
	case "values":
		if b.my() && len(f.Args) == 1 {
			return b.insertedValue(f, sc)
		}
	case "default":
		if ref, ok := f.Args[0].(*ir.ColumnRef); ok && b.my() && len(f.Args) == 1 {
			n := b.columnRef(ref, sc)
			if n.column == nil || n.column.source == nil {
				b.failAt(sqlerr.New("42601", "DEFAULT needs a column").My(1364, "Field '%s' doesn't have a default value", ref.Name), f.Pos)
			}
			return b.defaultNode(n.column.source, n.column.table)
		}
	case "isnull":
		if b.my() && len(f.Args) == 1 {
			return b.is(&ir.Is{X: f.Args[0], What: "NULL", Pos: f.Pos}, sc)
		}
	}
	return b.json(f, sc)
}

func (b *builder) coalesce(f *ir.Func, sc *level) *node {
	args := b.exprs(f.Args, sc)
	t := b.commonType(args, "COALESCE")
	if t.Kind == types.Unknown {
		t = types.T(types.Text)
	}
	coll := b.resultCollation(args)
	s := span{known: true, lo: 1, hi: 0}
	notNull := false
	parts := make([]string, len(args))
	for i := range args {
		args[i] = b.coerce(args[i], t, implicit)
		parts[i] = args[i].text()
		s = s.join(args[i].span)
		notNull = notNull || args[i].notNull
	}
	var n *node
	switch len(args) {
	case 1:
		n = raw(parts[0], t)
	case 2:
		n = atom("ifnull("+parts[0]+", "+parts[1]+")", t)
	default:
		n = atom("coalesce("+strings.Join(parts, ", ")+")", t)
	}
	b.setCollation(n)
	if t.IsString() {
		n.coll = coll
	}
	n.span, n.notNull = s, notNull
	return n
}

// extreme is GREATEST and LEAST.
func (b *builder) extreme(f *ir.Func, sc *level) *node {
	args := b.exprs(f.Args, sc)
	if len(args) == 0 {
		return nil
	}
	t := b.commonType(args, strings.ToUpper(f.Name))
	if t.Kind == types.Unknown {
		t = types.T(types.Text)
	}
	for i := range args {
		args[i] = b.coerce(args[i], t, implicit)
	}
	coll := b.resultCollation(args)
	op := "<"
	if f.Name == "greatest" {
		op = ">"
	}
	if b.pg() {
		// NULLs are left out.
		acc := args[0]
		for _, a := range args[1:] {
			cmp := b.compare(op, a, acc, f.Pos)
			sql := "CASE WHEN " + acc.arg() + " IS NULL OR " + cmp.arg() + " THEN " + a.text() + " ELSE " + acc.text() + " END"
			acc = atom(sql, t)
			b.setCollation(acc)
		}
		if len(args) > 3 {
			// Nested CASEs double with each argument: let the values be read once.
			name := map[string]string{"greatest": "max", "least": "min"}[f.Name]
			if cl := classOf(t); cl != enumClass && cl != equalOnly && cl != noClass {
				parts := make([]string, len(args))
				for i, a := range args {
					parts[i] = "(" + a.text() + ")"
				}
				probe := &node{sql: "column1", atom: true, typ: t, coll: args[0].coll}
				acc = atom("(SELECT "+name+"("+b.keyed(probe)+") FROM (VALUES "+strings.Join(parts, ", ")+"))", t)
				b.setCollation(acc)
			}
		}
		acc.coll = coll
		return acc
	}
	name := "min"
	if op == ">" {
		name = "max"
	}
	parts := make([]string, len(args))
	for i, a := range args {
		parts[i] = a.text()
		if i == 0 {
			parts[i] = b.keyed(a)
		}
	}
	if len(parts) == 1 {
		return args[0]
	}
	n := atom(name+"("+strings.Join(parts, ", ")+")", t)
	b.setCollation(n)
	if t.IsString() {
		n.coll = coll
	}
	return n
}

// outputText is a value as PostgreSQL sends it to clients: its text, with t and f for booleans.
func (b *builder) outputText(n *node) *node {
	if n.typ.Kind == types.Bool {
		return atom("CASE "+n.arg()+" WHEN 1 THEN 't' WHEN 0 THEN 'f' END", types.T(types.Text))
	}
	if t := b.textOf(n); t != nil {
		return t
	}
	return n
}

// recordText prints a row as PostgreSQL shows it: (a,b).
func (b *builder) recordText(n *node) string {
	args := make([]*node, len(n.row))
	for i, f := range n.row {
		args[i] = b.outputText(b.settle(f))
	}
	if r := b.tryInternal("bop_record", args...); r != nil {
		return r.text()
	}
	// Quotes are only put where the text needs them: empty, or with a character that has a meaning in rows.
	parts := make([]string, len(args))
	for i, a := range args {
		s := a.arg()
		switch {
		case a.isNull():
			parts[i] = "''"
			continue
		case classOf(n.row[i].typ) == intClass || classOf(n.row[i].typ) == boolClass || classOf(n.row[i].typ) == uuidClass || classOf(n.row[i].typ) == numericClass:
			parts[i] = "ifnull(" + a.text() + ", '')"
			continue
		}
		parts[i] = fmt.Sprintf(`ifnull(CASE WHEN %[1]s = '' OR %[1]s GLOB '*[ ",()\]*' THEN '"' || replace(replace(%[2]s, '\', '\\'), '"', '""') || '"' ELSE %[2]s END, '')`, s, a.text())
	}
	return "'(' || " + strings.Join(parts, " || ',' || ") + " || ')'"
}
