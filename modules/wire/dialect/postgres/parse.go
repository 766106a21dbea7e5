package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres/internal/ast"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/wasilibs/go-pgquery/parser"
)

// MaxText is the length in bytes of the longest text that Parse takes. The grammar's tree needs some fifty times the
// memory of its text inside a 4 GiB address space.
const MaxText = 16 << 20

// Warm makes the grammar ready, so that no client waits for it. It returns when it is, or ctx's error when that ends
// first (the work then goes on in the background).
func Warm(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		_, err := raw("SELECT 1")
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("preparing the PostgreSQL grammar: %w", context.Cause(ctx))
	}
}

// Parse parses a text of one or more statements. A text without any (empty, or only comments) gives one statement
// whose Tree is *ir.Empty. Errors are *sqlerr.Error, with the position counted in characters of the whole text.
func Parse(text string) ([]*ir.Statement, error) {
	tree, err := parse(text)
	if err != nil {
		return nil, err
	}
	if len(tree.Stmts) == 0 {
		return []*ir.Statement{{Dialect: ir.Postgres, Text: strings.TrimSpace(text), Tree: &ir.Empty{}}}, nil
	}
	all := make([]*ir.Statement, len(tree.Stmts))
	for i, st := range tree.Stmts {
		from := int(st.StmtLocation)
		to := len(text)
		if st.StmtLen > 0 {
			to = from + int(st.StmtLen)
		}
		if from > to || to > len(text) {
			return nil, sqlerr.New("XX000", "statement %d lies outside of its text", i+1)
		}
		for from < to && isSpace(text[from]) {
			from++
		}
		for from < to && (isSpace(text[to-1]) || text[to-1] == ';') {
			to--
		}
		m := mapper{text: text[from:to], offset: from}
		s := &ir.Statement{Dialect: ir.Postgres, Text: m.text, Offset: from}
		s.Tree = m.statement(st.Stmt)
		if m.err != nil {
			if m.err.Position > 0 {
				m.err.Position = position(text, from+m.err.Position-1)
			}
			return nil, m.err
		}
		if m.unsupported != "" {
			s.Tree = &ir.Unsupported{What: m.unsupported}
		}
		s.Params = m.params
		all[i] = s
	}
	return all, nil
}

// parse gives text to the grammar, having refused what the grammar can't survive.
func parse(text string) (*ast.ParseResult, error) {
	if len(text) > MaxText {
		return nil, sqlerr.New("54000", "statement of %d bytes is longer than the limit of %d bytes", len(text), MaxText).
			My(1153, "Got a packet bigger than 'max_allowed_packet' bytes").
			WithHint("Send fewer rows per statement, or use COPY.")
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return nil, sqlerr.New("22021", `invalid byte sequence for encoding "UTF8": 0x00`)
	}
	if !utf8.ValidString(text) {
		return nil, invalidUTF8(text)
	}
	if err := checkDepth(text); err != nil {
		return nil, err
	}
	b, err := raw(text)
	if err != nil {
		return nil, grammarError(text, err)
	}
	tree, err := ast.Decode(b)
	if err != nil {
		return nil, &sqlerr.Error{State: "XX000", Message: "could not read the parse tree", Err: err}
	}
	return tree, nil
}

// grammarError gives an error of the grammar PostgreSQL's SQLSTATE, which libpg_query doesn't pass on.
func grammarError(text string, err error) error {
	var broken *brokenError
	if errors.As(err, &broken) {
		return &sqlerr.Error{State: "54001", Message: "statement is too complex", Err: err}
	}
	e := &sqlerr.Error{State: "42601", Message: err.Error(), Err: err}
	e.My(1064, "%s", err.Error())
	var pe *parser.Error
	if errors.As(err, &pe) && pe.Cursorpos > 0 {
		e.Position = pe.Cursorpos
	}
	switch {
	case strings.Contains(e.Message, "not supported") || strings.Contains(e.Message, "not yet implemented"):
		e.State = "0A000"
	case strings.HasPrefix(e.Message, "invalid Unicode"), strings.HasPrefix(e.Message, "invalid byte sequence"):
		e.State = "22025"
	case strings.HasPrefix(e.Message, "memory exhausted"):
		e.State = "54001"
	}
	return e
}

func invalidUTF8(text string) error {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && n == 1 {
			return sqlerr.New("22021", `invalid byte sequence for encoding "UTF8": 0x%02x`, text[i])
		}
		i += n
	}
	return nil
}

// position turns a byte offset into the 1-based character position that clients are told.
func position(text string, offset int) int {
	return utf8.RuneCountInString(text[:min(offset, len(text))]) + 1
}
