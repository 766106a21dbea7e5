package plan

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
)

// rollup resolves GROUP BY … WITH ROLLUP: the query again for every prefix of the grouping keys, the other keys NULL.
func (b *builder) rollup(s *ir.Select, c *core, sc *level) {
	n := len(sc.groups)
	if n == 0 {
		return
	}
	c.keys = sc.groups
	for kept := n - 1; kept >= 0; kept-- {
		part := &core{from: c.from, where: c.where, windows: c.windows, group: "NULL", keys: sc.groups[:kept]}
		if kept > 0 {
			part.group = strings.Join(sc.groups[:kept], ", ")
		}
		sc.nulled = sc.groups[kept:]
		sc.clause, sc.outputs = inSelect, nil
		for _, it := range s.Items {
			part.outputs = append(part.outputs, b.item(it, sc)...)
		}
		sc.outputs = part.outputs
		if s.Having != nil {
			part.having = b.condition(s.Having, sc, inHaving, "HAVING")
		}
		c.rollup = append(c.rollup, part)
	}
	sc.nulled = nil
}

// printRollup prints the parts as one query. sorted: by the keys, each sum behind what it sums.
func (c *core) printRollup(b *builder, s *strings.Builder, names []string, sorted bool) {
	if names == nil {
		names = make([]string, len(c.outputs))
		for i := range names {
			names[i] = "c" + strconv.Itoa(i+1)
		}
	}
	s.WriteString("SELECT ")
	for i, name := range names {
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteString(quote(name))
	}
	s.WriteString(" FROM (")
	for i, part := range append([]*core{c}, c.rollup...) {
		if i > 0 {
			s.WriteString(" UNION ALL ")
		}
		var extra strings.Builder
		for k := range c.keys {
			mark, key := "1", "NULL"
			if k < len(part.keys) {
				mark, key = "0", part.keys[k]
			}
			suffix := strconv.Itoa(k + 1)
			extra.WriteString(", " + mark + ` AS "__bop_sum` + suffix + `", ` + key + ` AS "__bop_key` + suffix + `"`)
		}
		part.printSelect(b, s, names, extra.String())
	}
	s.WriteString(")")
	if !sorted {
		return
	}
	for k := range c.keys {
		word := ", "
		if k == 0 {
			word = " ORDER BY "
		}
		suffix := strconv.Itoa(k + 1)
		s.WriteString(word + `"__bop_sum` + suffix + `", "__bop_key` + suffix + `"`)
	}
}
