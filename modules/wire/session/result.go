package session

import (
	"context"
	"strconv"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/types"
)

// Result is what a statement gives: rows, or a count, or a wish for data (Copy, Load).
type Result struct {
	// Columns describe the rows; nil: the statement gives none.
	Columns []plan.Column
	// Copy is set when the client has to send or gets COPY data. Load: MySQL's LOAD DATA LOCAL wants a file.
	Copy *Copy
	Load *Load

	verb     string
	counted  bool // the tag ends with the number of rows
	affected int64
	insertID uint64
	empty    bool

	rows [][]types.Value // materialised rows, when stmt is nil
	at   int

	x      *Session
	l      *lent
	c      *cached
	stmt   *sqlite3.Stmt
	vals   []types.Value
	read   int64
	ended  bool
	closed bool
	err    error
	after  func(r *Result, err error) error // ends the statement: the gate, the transaction, the span
	finish func(error) error                // of the last Resume, until the next Suspend
}

// done is the result of a statement that gives nothing but its tag.
func done(tag string) *Result { return &Result{verb: tag, ended: true} }

// table is a result whose rows are known.
func table(verb string, columns []plan.Column, rows [][]types.Value) *Result {
	return &Result{Columns: columns, verb: verb, rows: rows, counted: verb == "SELECT" || verb == "FETCH"}
}

// Next goes to the next row. False: there is none, or Err tells why.
func (r *Result) Next() bool {
	if r.ended || r.closed {
		return false
	}
	if r.stmt == nil {
		if r.at >= len(r.rows) {
			r.ended = true
			return false
		}
		r.at++
		r.read++
		return true
	}
	if r.stmt.Step() {
		r.read++
		return true
	}
	r.ended = true
	if err := r.stmt.Err(); err != nil {
		r.err = r.l.Explain(err)
	}
	return false
}

// Row returns the current row in storage form. It is valid until the next call of Next.
func (r *Result) Row() []types.Value {
	if r.stmt == nil {
		return r.rows[r.at-1]
	}
	if r.vals == nil {
		if cap(r.c.row) < len(r.Columns) {
			r.c.row = make([]types.Value, len(r.Columns))
		}
		r.vals = r.c.row[:len(r.Columns)]
	}
	for i := range r.vals {
		r.vals[i] = column(r.stmt, i)
	}
	return r.vals
}

// Err is why Next returned false, nil at the end of the rows. Close returns it too.
func (r *Result) Err() error { return r.err }

// Ended tells whether all rows were read; a portal that isn't is suspended.
func (r *Result) Ended() bool { return r.ended }

// Empty tells that the statement held nothing but white space or comments.
func (r *Result) Empty() bool { return r.empty }

// Close ends the statement. The tag may be told when it returned nil.
func (r *Result) Close() error {
	if r.closed {
		return r.err
	}
	r.closed = true
	err := r.err
	if r.c != nil {
		if e := r.l.st.put(r.c); err == nil && e != nil && !r.ended {
			err = r.l.Explain(e)
		}
	}
	if r.finish != nil {
		err = r.finish(err)
	}
	if r.after != nil {
		err = r.after(r, err)
	}
	r.err = err
	return err
}

// Suspend tells that the rows aren't read on for now: the session may run other statements, or be idle. It is for
// results of portals.
func (r *Result) Suspend() {
	if r.x == nil || r.closed {
		return
	}
	if r.finish != nil {
		r.finish(nil)
		r.finish = nil
		return
	}
	r.x.suspend()
}

// Resume makes a suspended result ready to be read on.
func (r *Result) Resume(ctx context.Context) {
	if r.x == nil || r.closed || r.finish != nil {
		return
	}
	var run context.Context
	run, r.finish = r.x.start(ctx, r.x.activity().text)
	if r.l != nil {
		r.l.SetContext(run)
	}
}

// Affected is the number of rows that were changed, or read.
func (r *Result) Affected() int64 {
	if r.Columns != nil && r.affected == 0 {
		return r.read
	}
	return r.affected
}

// InsertID is the first value that the statement generated for an AUTO_INCREMENT column, 0 if none.
func (r *Result) InsertID() uint64 { return r.insertID }

// AppendTag appends PostgreSQL's command tag.
func (r *Result) AppendTag(dst []byte) []byte {
	dst = append(dst, r.verb...)
	if !r.counted {
		return dst
	}
	if r.verb == "INSERT" {
		dst = append(dst, " 0"...)
	}
	return strconv.AppendInt(append(dst, ' '), r.Affected(), 10)
}

// ResetCount starts the count of rows anew, for the next Execute of a suspended portal.
func (r *Result) ResetCount() { r.read = 0 }

// collect reads all rows, so that the statement can end before they are sent.
func (r *Result) collect() error {
	var rows [][]types.Value
	for r.Next() {
		row := r.Row()
		own := make([]types.Value, len(row))
		for i, v := range row {
			own[i] = v.Clone()
		}
		rows = append(rows, own)
	}
	if err := r.Close(); err != nil {
		return err
	}
	r.rows, r.at, r.read = rows, 0, 0
	r.stmt, r.c, r.l, r.after = nil, nil, nil, nil
	r.ended, r.closed = false, false
	return nil
}

// one runs a query of ours and returns its first row.
func (l *lent) one(ctx context.Context, sql string) ([]types.Value, error) {
	c, err := l.st.get(l.Raw(), sql)
	if err != nil {
		return nil, l.Explain(err)
	}
	defer l.st.put(c)
	if !c.stmt.Step() {
		return nil, l.Explain(c.stmt.Err())
	}
	row := make([]types.Value, c.stmt.ColumnCount())
	for i := range row {
		row[i] = column(c.stmt, i).Clone()
	}
	return row, nil
}
