package mysql

import (
	"github.com/bop-platform/bop/modules/wire/ir"
)

// words is a statement cut into its tokens, for statements that are read without the grammar.
type words struct {
	lexer
	t token
}

func newWords(text string, o Options) *words {
	w := &words{lexer: o.lexer(text)}
	w.advance()
	return w
}

func (w *words) advance() { w.t = w.next() }

// word takes a keyword if it comes next.
func (w *words) word(keyword string) bool {
	if !w.is(w.t, keyword) {
		return false
	}
	w.advance()
	return true
}

// all takes keywords if they come next, all or none.
func (w *words) all(keywords ...string) bool {
	saved := *w
	for _, k := range keywords {
		if !w.word(k) {
			*w = saved
			return false
		}
	}
	return true
}

// punct takes a punctuation mark if it comes next.
func (w *words) punct(c byte) bool {
	if w.t.kind != tokPunct || w.t.op != c {
		return false
	}
	w.advance()
	return true
}

func (w *words) end() bool { return w.t.kind == tokEnd }

// name takes a possibly qualified name.
func (w *words) name() (ir.Name, bool) {
	s, ok := w.identifier(w.t)
	if !ok {
		return ir.Name{}, false
	}
	n := ir.Name{Name: s, Pos: w.t.from}
	w.advance()
	if w.punct('.') {
		s, ok := w.identifier(w.t)
		if !ok {
			return n, false
		}
		n.Schema, n.Name = n.Name, s
		w.advance()
	}
	return n, true
}

// simple reads transaction control, which the grammar knows only a part of; nil for everything else.
func simple(text string, o Options) ir.Stmt {
	w := newWords(text, o)
	var st ir.Stmt
	switch {
	case w.word("begin"):
		w.word("work")
		st = &ir.Begin{}
	case w.all("start", "transaction"):
		st = w.modes()
	case w.word("commit"):
		c := &ir.Commit{}
		if c.Chain, c.Release = w.completion(); w.end() {
			st = c
		}
	case w.word("rollback"):
		r := &ir.Rollback{}
		r.Chain, r.Release = w.completion()
		if st = r; w.word("to") {
			w.word("savepoint")
			if n, ok := w.name(); ok {
				st = &ir.RollbackTo{Name: n.Name}
			}
		}
	case w.word("savepoint"):
		if n, ok := w.name(); ok {
			st = &ir.Savepoint{Name: n.Name}
		}
	case w.all("release", "savepoint"):
		if n, ok := w.name(); ok {
			st = &ir.ReleaseSavepoint{Name: n.Name}
		}
	}
	if st == nil || !w.end() {
		return nil
	}
	return st
}

// modes reads those of START TRANSACTION.
func (w *words) modes() ir.Stmt {
	b := &ir.Begin{}
	if w.end() {
		return b
	}
	for {
		switch {
		case w.all("with", "consistent", "snapshot"):
			b.Snapshot = true
		case b.ReadOnly == nil && w.word("read"):
			only := w.word("only")
			if !only && !w.word("write") {
				return nil
			}
			b.ReadOnly = &only
		default:
			return nil
		}
		if !w.punct(',') {
			return b
		}
	}
}

// completion reads [WORK] [AND [NO] CHAIN] [[NO] RELEASE].
func (w *words) completion() (chain, release bool) {
	w.word("work")
	if !w.all("and", "no", "chain") {
		chain = w.all("and", "chain")
	}
	if !w.all("no", "release") {
		release = w.word("release")
	}
	return chain, release
}
