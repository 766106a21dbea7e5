package session

import (
	"context"
	"slices"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// cursor is a cursor of DECLARE. Rows are read from SQLite as they are asked for and kept, so that it can go back.
type cursor struct {
	columns []plan.Column
	r       *Result // nil when all rows were read
	rows    [][]types.Value
	at      int // 0: before the first; len(rows)+1 and complete: behind the last
	hold    bool
	held    bool // its transaction has ended
	scroll  int8
	depth   int // savepoints when it was declared
}

func (x *Session) declare(ctx context.Context, st *ir.Statement, s *ir.DeclareCursor, args []types.Value) (*Result, error) {
	if !s.Hold && !x.block.open {
		return nil, sqlerr.New("25P01", "DECLARE CURSOR can only be used in transaction blocks")
	}
	if x.cursors[s.Name] != nil {
		return nil, sqlerr.New("42P03", `cursor "%s" already exists`, s.Name)
	}
	inner := &ir.Statement{Dialect: st.Dialect, Text: s.Text, Params: st.Params, Tree: s.Query}
	f, err := x.translate(ctx, inner, nil, planKey{text: st.Text})
	if err != nil {
		return nil, err
	}
	r, err := x.runPlan(ctx, f, args)
	if err != nil {
		return nil, err
	}
	c := &cursor{columns: r.Columns, r: r, hold: s.Hold, scroll: s.Scroll, depth: len(x.block.saves)}
	if r.l != nil {
		// The rows come from this connection and this snapshot until the cursor ends.
		r.l.keep++
		x.held = r.l
	}
	if x.cursors == nil {
		x.cursors = map[string]*cursor{}
	}
	x.cursors[s.Name] = c
	if !x.block.open {
		return done("DECLARE CURSOR"), x.holdCursors(ctx)
	}
	return done("DECLARE CURSOR"), nil
}

// fill reads rows until there are n, or all when n is negative.
func (c *cursor) fill(ctx context.Context, n int) error {
	if c.r != nil && c.r.l != nil {
		c.r.l.SetContext(ctx) // that of the statement which began the rows has ended
	}
	for c.r != nil && (n < 0 || len(c.rows) < n) {
		if !c.r.Next() {
			return c.finish()
		}
		row := slices.Clone(c.r.Row())
		for i := range row {
			row[i] = row[i].Clone()
		}
		c.rows = append(c.rows, row)
	}
	return nil
}

// finish ends the statement behind the cursor.
func (c *cursor) finish() error {
	r := c.r
	c.r = nil
	if r == nil {
		return nil
	}
	if r.l != nil {
		r.l.keep--
	}
	return r.Close()
}

// holdCursors reads what is left of cursors WITH HOLD, before their transaction ends.
func (x *Session) holdCursors(ctx context.Context) error {
	for _, c := range x.cursors {
		if c.hold && !c.held {
			if err := c.fill(ctx, -1); err != nil {
				return err
			}
			c.held = true
		}
	}
	return nil
}

// closeCursors closes those that which names.
func (x *Session) closeCursors(which func(*cursor) bool) {
	for name, c := range x.cursors {
		if which(c) {
			delete(x.cursors, name)
			c.finish()
		}
	}
}

func (x *Session) closeCursor(name string) (*Result, error) {
	if name == "" {
		x.closeCursors(func(*cursor) bool { return true })
		return done("CLOSE CURSOR ALL"), nil
	}
	c := x.cursors[name]
	if c == nil {
		return nil, sqlerr.New("34000", `cursor "%s" does not exist`, name)
	}
	delete(x.cursors, name)
	return done("CLOSE CURSOR"), c.finish()
}

func (x *Session) fetch(ctx context.Context, s *ir.Fetch) (*Result, error) {
	c := x.cursors[s.Cursor]
	if c == nil {
		return nil, sqlerr.New("34000", `cursor "%s" does not exist`, s.Cursor)
	}
	rows, err := c.move(ctx, s)
	if err != nil {
		return nil, err
	}
	if s.Move {
		r := done("MOVE")
		r.counted, r.affected = true, int64(len(rows))
		return r, nil
	}
	return table("FETCH", c.columns, rows), nil
}

// move goes through the rows as FETCH describes and returns those it passes, in that order.
func (c *cursor) move(ctx context.Context, s *ir.Fetch) ([][]types.Value, error) {
	n, back := s.Count, false
	switch s.How {
	case "NEXT", "FORWARD", "":
		if s.How == "NEXT" || s.How == "" {
			n = 1
		}
	case "PRIOR", "BACKWARD":
		back = true
		if s.How == "PRIOR" {
			n = 1
		}
	case "FIRST":
		return c.absolute(ctx, 1)
	case "LAST":
		return c.absolute(ctx, -1)
	case "ABSOLUTE":
		return c.absolute(ctx, n)
	case "RELATIVE":
		return c.relative(ctx, n)
	}
	if n < 0 && !s.All {
		n, back = -n, !back
	}
	if back {
		return c.backward(n, s.All)
	}
	if n == 0 && !s.All {
		return c.current(), nil
	}
	want := -1
	if !s.All {
		want = c.at + int(n)
	}
	if err := c.fill(ctx, want); err != nil {
		return nil, err
	}
	end := len(c.rows)
	if !s.All {
		end = min(end, want)
	}
	from := min(c.at, len(c.rows))
	out := c.rows[from:max(end, from)]
	if s.All || want > len(c.rows) {
		c.at = len(c.rows) + 1
	} else {
		c.at = want
	}
	return out, nil
}

func (c *cursor) current() [][]types.Value {
	if c.at < 1 || c.at > len(c.rows) {
		return nil
	}
	return c.rows[c.at-1 : c.at]
}

func (c *cursor) backward(n int64, all bool) ([][]types.Value, error) {
	if c.scroll < 0 {
		return nil, sqlerr.New("55000", "cursor can only scan forward").WithHint("Declare it with SCROLL option to enable backward scan.")
	}
	if n == 0 && !all {
		return c.current(), nil
	}
	to := 0
	if !all {
		to = max(c.at-int(n), 0)
	}
	var out [][]types.Value
	for i := min(c.at-1, len(c.rows)); i >= max(to, 1); i-- {
		out = append(out, c.rows[i-1])
	}
	c.at = to
	return out, nil
}

func (c *cursor) absolute(ctx context.Context, n int64) ([][]types.Value, error) {
	if n < 0 {
		if err := c.fill(ctx, -1); err != nil {
			return nil, err
		}
		n = int64(len(c.rows)) + n + 1
	} else if err := c.fill(ctx, int(n)); err != nil {
		return nil, err
	}
	c.at = int(min(max(n, 0), int64(len(c.rows))+1))
	return c.current(), nil
}

func (c *cursor) relative(ctx context.Context, n int64) ([][]types.Value, error) {
	if n == 0 {
		return c.current(), nil
	}
	return c.absolute(ctx, max(int64(c.at)+n, 0))
}
