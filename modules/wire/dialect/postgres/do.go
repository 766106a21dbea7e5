package postgres

import (
	"strings"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres/internal/ast"
	"github.com/bop-platform/bop/modules/wire/ir"
)

// conditions are the names of PL/pgSQL for the errors that migrations expect. "*" stands for any.
var conditions = map[string]string{
	"others": "*", "duplicate_object": "42710", "duplicate_table": "42P07", "duplicate_column": "42701",
	"duplicate_schema": "42P06", "duplicate_function": "42723", "duplicate_database": "42P04", "undefined_table": "42P01",
	"undefined_column": "42703", "undefined_object": "42704", "undefined_function": "42883", "invalid_schema_name": "3F000",
	"invalid_table_definition": "42P16", "unique_violation": "23505", "foreign_key_violation": "23503", "check_violation": "23514",
	"insufficient_privilege": "42501", "dependent_objects_still_exist": "2BP01", "feature_not_supported": "0A000",
}

// do maps the DO blocks that only attempt statements. There is no PL/pgSQL here, so every other block is unsupported.
func (m *mapper) do(n *ast.DoStmt) ir.Stmt {
	for _, a := range n.Args {
		d, ok := a.(*ast.DefElem)
		if !ok {
			continue
		}
		switch d.Defname {
		case "language":
			if m.option(d.Arg) != "plpgsql" {
				return m.none("DO in another language than plpgsql")
			}
		case "as":
			if t, ok := attempt(m.option(d.Arg)); ok {
				return t
			}
		}
	}
	return m.none("DO")
}

// attempt reads BEGIN statement; … [EXCEPTION WHEN condition [OR condition] THEN NULL; …] END [;].
func attempt(body string) (*ir.Attempt, bool) {
	l := lexer{s: body}
	if !l.is(l.next(), "begin") {
		return nil, false
	}
	out := &ir.Attempt{}
	start, depth := l.i, 0
	for {
		t := l.next()
		switch {
		case t.kind == tokEnd || t.kind == tokBad:
			return nil, false
		case t.op == '(':
			depth++
		case t.op == ')':
			depth--
		case depth == 0 && t.op == ';':
			all, err := Parse(body[start:t.from])
			if err != nil || len(all) != 1 || !plain(all[0].Tree) {
				return nil, false
			}
			out.Stmts = append(out.Stmts, all[0])
			start = l.i
		case depth == 0 && l.is(t, "end") && blank(body[start:t.from]):
			return out, finished(&l)
		case depth == 0 && l.is(t, "exception") && blank(body[start:t.from]):
			return out, handlers(&l, out)
		}
	}
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// plain says that a statement means the same inside PL/pgSQL as outside, and has no result.
func plain(s ir.Stmt) bool {
	switch s := s.(type) {
	case *ir.Insert:
		return len(s.Returning) == 0
	case *ir.Update:
		return len(s.Returning) == 0
	case *ir.Delete:
		return len(s.Returning) == 0
	case *ir.CreateTable, *ir.AlterTable, *ir.CreateIndex, *ir.Drop, *ir.CreateView, *ir.CreateSequence, *ir.AlterSequence,
		*ir.CreateEnum, *ir.AlterEnum, *ir.CreateDomain, *ir.CreateSchema, *ir.CommentOn, *ir.CreateExtension, *ir.GrantRevoke,
		*ir.Truncate:
		return true
	}
	return false
}

// handlers reads what follows EXCEPTION: handlers that do nothing, then END.
func handlers(l *lexer, out *ir.Attempt) bool {
	t := l.next()
	for l.is(t, "when") {
		for {
			c := l.next()
			state, ok := conditions[strings.ToLower(l.s[c.from:c.to])]
			if !ok {
				return false
			}
			out.States = append(out.States, state)
			if t = l.next(); !l.is(t, "or") {
				break
			}
		}
		if !l.is(t, "then") {
			return false
		}
		if t = l.next(); l.is(t, "null") {
			if t = l.next(); t.op != ';' {
				return false
			}
			t = l.next()
		}
	}
	return l.is(t, "end") && finished(l)
}

// finished says that nothing but a semicolon follows.
func finished(l *lexer) bool {
	t := l.next()
	if t.op == ';' {
		t = l.next()
	}
	return t.kind == tokEnd
}
