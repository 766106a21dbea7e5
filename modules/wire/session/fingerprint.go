package session

import (
	"context"

	"github.com/bop-platform/bop/modules/wire/dialect/mysql"
	"github.com/bop-platform/bop/modules/wire/dialect/postgres"
	"github.com/bop-platform/bop/modules/wire/types"
)

// lifted finds, or makes, the plan that a text shares with those that differ from it in literals alone, and the literals
// as its arguments. ok is false when the text has to be planned by itself: errors then tell the client's own text.
func (x *Session) lifted(ctx context.Context, text string) (f *planned, args []types.Value, ok bool) {
	if x.block.failed {
		return nil, nil, false
	}
	if x.mysql() {
		return x.liftedMySQL(ctx, text)
	}
	key, literals, ok := postgres.Fingerprint(text)
	if !ok || len(literals) == 0 {
		return nil, nil, false
	}
	given := make([]types.Type, len(literals))
	for i := range literals {
		given[i] = literals[i].Type
	}
	k := x.key(key, given)
	if f = x.cached(k); f == nil {
		statements, err := postgres.Parse(key)
		if err != nil || len(statements) != 1 || !isPlanned(statements[0].Tree) {
			return nil, nil, false
		}
		if f, err = x.translate(ctx, statements[0], given, k); err != nil {
			return nil, nil, false
		}
	}
	if len(f.plan.Params) != len(literals) {
		return nil, nil, false
	}
	args = make([]types.Value, len(literals))
	var in *types.Input
	for i := range literals {
		args[i] = literals[i].Value()
		if given[i].Kind != types.Unknown {
			continue
		}
		if in == nil {
			in = x.Input()
		}
		var err error
		if args[i], err = types.ParseText(f.plan.Params[i], args[i].B, in); err != nil {
			return nil, nil, false
		}
	}
	return f, args, true
}

// liftedMySQL is lifted for MySQL: a literal takes the type of its place where it fits without loss, and keeps its own
// where it doesn't.
func (x *Session) liftedMySQL(ctx context.Context, text string) (f *planned, args []types.Value, ok bool) {
	key, literals, ok := mysql.Fingerprint(text, x.vars.parseOptions())
	if !ok || len(literals) == 0 {
		return nil, nil, false
	}
	if f = x.planOf(ctx, key, nil); f == nil || len(f.plan.Params) != len(literals) {
		return nil, nil, false
	}
	args = make([]types.Value, len(literals))
	var own []types.Type
	in := x.Input()
	for i, l := range literals {
		from := l.Type
		if from.Kind == types.Unknown {
			from = types.T(types.Varchar)
		}
		v := l.Value()
		if args[i], ok = mysql.Convert(v, from, f.plan.Params[i], in); ok {
			continue
		}
		if own == nil {
			own = make([]types.Type, len(literals))
		}
		args[i], own[i] = v, from
	}
	if own != nil {
		if f = x.planOf(ctx, key, own); f == nil || len(f.plan.Params) != len(literals) {
			return nil, nil, false
		}
	}
	return f, args, true
}

// planOf returns the plan of a fingerprint, nil if there is none.
func (x *Session) planOf(ctx context.Context, key string, given []types.Type) *planned {
	k := x.key(key, given)
	f := x.cached(k)
	if f != nil {
		return f
	}
	statements, err := mysql.Parse(key, x.vars.parseOptions())
	if err != nil || len(statements) != 1 || !isPlanned(statements[0].Tree) {
		return nil
	}
	if f, err = x.translate(ctx, statements[0], given, k); err != nil {
		return nil
	}
	return f
}
