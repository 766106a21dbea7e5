package mysql

import (
	"sort"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// mapper turns one statement of the parser's into ir. Its methods don't return errors: the first one is kept, and the
// tree made after it is thrown away.
type mapper struct {
	text        string // as the parser saw it
	original    string // as the client wrote it, versioned comments executed
	o           Options
	params      []int // offsets of the parameters
	rewritten   *rewritten
	err         error
	unsupported string
}

// fail keeps an error.
func (m *mapper) fail(err error) {
	if m.err == nil {
		m.err = err
	}
}

// lack records that the statement can't be expressed; what names the construct.
func (m *mapper) lack(what string) {
	if m.unsupported == "" {
		m.unsupported = what
	}
}

// syntax fails with 1064 at an offset of the statement.
func (m *mapper) syntax(offset int) { m.fail(syntaxError(m.original, offset)) }

// param numbers the parameter at an offset.
func (m *mapper) param(offset int) *ir.Param {
	return &ir.Param{N: sort.SearchInts(m.params, offset) + 1, Pos: offset}
}

func tableName(t *ast.TableName) ir.Name {
	if t == nil {
		return ir.Name{Pos: -1}
	}
	return ir.Name{Schema: t.Schema.O, Name: t.Name.O, Pos: -1}
}

func tableNames(ts []*ast.TableName) []ir.Name {
	out := make([]ir.Name, len(ts))
	for i, t := range ts {
		out[i] = tableName(t)
	}
	return out
}

func columnRef(c *ast.ColumnName, pos int) *ir.ColumnRef {
	return &ir.ColumnRef{Schema: c.Schema.O, Table: c.Table.O, Name: c.Name.O, Pos: pos}
}

func columnNames(cs []*ast.ColumnName) []string {
	if len(cs) == 0 {
		return nil
	}
	out := make([]string, len(cs))
	for i, c := range cs {
		out[i] = c.Name.O
	}
	return out
}

func names(cs []ast.CIStr) []string {
	if len(cs) == 0 {
		return nil
	}
	out := make([]string, len(cs))
	for i, c := range cs {
		out[i] = c.O
	}
	return out
}

// enclosed returns the text from an offset to the parenthesis that closes what is open there, without it.
func (m *mapper) enclosed(from int) string {
	if from < 0 || from > len(m.text) {
		return ""
	}
	l := m.o.lexer(m.text)
	l.i = from
	end := from
	for open := 0; ; {
		t := l.next()
		switch {
		case t.kind == tokEnd || t.kind == tokBad, t.kind == tokPunct && t.op == ')' && open == 0:
			return strings.TrimSpace(m.text[from:end])
		case t.kind == tokPunct && t.op == '(':
			open++
		case t.kind == tokPunct && t.op == ')':
			open--
		}
		end = t.to
	}
}

// tooMany is the error for a nesting that the options of this package don't allow.
func unknown(what string) error {
	return sqlerr.New("XX000", "mysql: unknown %s in the parse tree", what)
}
