package postgres

import (
	"github.com/bop-platform/bop/modules/wire/dialect/postgres/internal/ast"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// mapper turns one raw parse tree into ir. Its methods don't return errors: the first one is kept, and the tree made
// after it is thrown away.
type mapper struct {
	text        string // the statement
	offset      int    // where text begins in what the client sent
	params      int
	err         *sqlerr.Error
	unsupported string
}

// fail records an error at a location of the parse tree.
func (m *mapper) fail(loc int32, state, format string, args ...any) {
	if m.err == nil {
		m.err = sqlerr.New(state, format, args...).At(m.pos(loc))
	}
}

// lack records that the statement can't be expressed; what names the construct.
func (m *mapper) lack(what string) {
	if m.unsupported == "" {
		m.unsupported = what
	}
}

// pos turns a location into an offset in the statement's text, -1 if unknown.
func (m *mapper) pos(loc int32) int {
	if p := int(loc) - m.offset; p >= 0 && p <= len(m.text) {
		return p
	}
	return -1
}

func (m *mapper) name(r *ast.RangeVar) ir.Name {
	if r == nil {
		return ir.Name{Pos: -1}
	}
	return ir.Name{Catalog: r.Catalogname, Schema: r.Schemaname, Name: r.Relname, Pos: m.pos(r.Location)}
}

func (m *mapper) names(nodes []ast.Node) []ir.Name {
	if len(nodes) == 0 {
		return nil
	}
	out := make([]ir.Name, 0, len(nodes))
	for _, n := range nodes {
		if r, ok := n.(*ast.RangeVar); ok {
			out = append(out, m.name(r))
		}
	}
	return out
}

// qualified makes a name of a list of strings.
func qualified(parts []string) ir.Name {
	n := ir.Name{Pos: -1}
	switch len(parts) {
	case 0:
	case 1:
		n.Name = parts[0]
	case 2:
		n.Schema, n.Name = parts[0], parts[1]
	default:
		n.Catalog, n.Schema, n.Name = parts[len(parts)-3], parts[len(parts)-2], parts[len(parts)-1]
	}
	return n
}

// words returns the strings of a list of String nodes.
func words(nodes []ast.Node) []string {
	if len(nodes) == 0 {
		return nil
	}
	out := make([]string, 0, len(nodes))
	for _, n := range nodes {
		if s, ok := n.(*ast.String); ok {
			out = append(out, s.Sval)
		}
	}
	return out
}

// last returns the last string of a qualified name.
func last(nodes []ast.Node) string {
	if len(nodes) == 0 {
		return ""
	}
	if s, ok := nodes[len(nodes)-1].(*ast.String); ok {
		return s.Sval
	}
	return ""
}
