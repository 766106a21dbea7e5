package plan

import "github.com/bop-platform/bop/modules/wire/ir"

// json resolves the functions that make JSON of values, whose types must be known to print them; nil for others.
func (b *builder) json(f *ir.Func, sc *level) *node { return nil }

func (b *builder) jsonAggregate(f *ir.Func, args []*node, sc *level) *node { return nil }
