package plan

import (
	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

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
