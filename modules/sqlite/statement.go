package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// driverStmt is a prepared statement of database/sql. While its rows are open, a second execution gets another one of
// SQLite's.
type driverStmt struct {
	d   *driverConn
	sql string
	st  *cached
}

var (
	_ driver.StmtExecContext   = (*driverStmt)(nil)
	_ driver.StmtQueryContext  = (*driverStmt)(nil)
	_ driver.NamedValueChecker = (*driverStmt)(nil)
)

// take returns the statement, prepared again if it was evicted or is in use.
func (s *driverStmt) take() (*cached, error) {
	if c := s.d.cache[s.sql]; c != nil && c == s.st && !c.inUse {
		s.d.clock++
		c.inUse, c.used = true, s.d.clock
		return c, nil
	}
	st, err := s.d.prepare(s.sql)
	if err == nil {
		s.st = st
	}
	return st, err
}

// NumInput implements driver.Stmt.
func (s *driverStmt) NumInput() int {
	if s.st.named {
		return -1
	}
	return s.st.params
}

// ExecContext implements driver.StmtExecContext.
func (s *driverStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (res driver.Result, err error) {
	err = s.d.run(ctx, func() error {
		st, err := s.take()
		if err != nil {
			return err
		}
		defer s.d.release(st)
		res, err = s.d.exec(st, args)
		return err
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

// QueryContext implements driver.StmtQueryContext.
func (s *driverStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (rows driver.Rows, err error) {
	err = s.d.run(ctx, func() error {
		st, err := s.take()
		if err != nil {
			return err
		}
		rows, err = s.d.rows(ctx, st, args)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// Exec implements driver.Stmt.
func (s *driverStmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), ordinals(args))
}

// Query implements driver.Stmt.
func (s *driverStmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), ordinals(args))
}

func ordinals(args []driver.Value) []driver.NamedValue {
	named := make([]driver.NamedValue, len(args))
	for i, v := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return named
}

// Close implements driver.Stmt: the statement stays in the connection's cache.
func (s *driverStmt) Close() error { return nil }

// CheckNamedValue implements driver.NamedValueChecker.
func (s *driverStmt) CheckNamedValue(v *driver.NamedValue) error { return checkValue(v) }

// CheckNamedValue implements driver.NamedValueChecker.
func (d *driverConn) CheckNamedValue(v *driver.NamedValue) error { return checkValue(v) }

func checkValue(v *driver.NamedValue) error {
	switch v.Value.(type) {
	case nil, bool, int, int64, float64, string, []byte, time.Time, sqlite3.ZeroBlob:
		return nil
	}
	return driver.ErrSkip // database/sql converts
}

func (d *driverConn) bind(st *cached, args []driver.NamedValue) error {
	for i := range args {
		a := &args[i]
		if a.Name == "" {
			if err := d.bindOne(st.s, a.Ordinal, a.Value); err != nil {
				return err
			}
			continue
		}
		for _, prefix := range [...]string{":", "@", "$"} {
			if n := st.s.BindIndex(prefix + a.Name); n != 0 {
				if err := d.bindOne(st.s, n, a.Value); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (d *driverConn) bindOne(s *sqlite3.Stmt, n int, v any) error {
	switch v := v.(type) {
	case nil:
		return s.BindNull(n)
	case bool:
		return s.BindBool(n, v)
	case int:
		return s.BindInt(n, v)
	case int64:
		return s.BindInt64(n, v)
	case float64:
		return s.BindFloat(n, v)
	case string:
		return s.BindText(n, v)
	case []byte:
		return s.BindBlob(n, v)
	case time.Time:
		return s.BindTime(n, v, d.o.TimeFormat)
	case sqlite3.ZeroBlob:
		return s.BindZeroBlob(n, int64(v))
	}
	return fmt.Errorf("sqlite: argument %d is a %T", n, v)
}

// kind is what the declared type of a column says about reading it.
type kind uint8

const (
	plain kind = iota
	boolean
	instant
)

func kindOf(decl string) kind {
	switch strings.ToUpper(decl) {
	case "BOOLEAN", "BOOL":
		return boolean
	case "DATE", "TIME", "DATETIME", "TIMESTAMP":
		return instant
	}
	return plain
}

// rows begins a query. A statement that writes outside of a transaction is run to its end first: its rows may only be
// shown once it is committed.
func (d *driverConn) rows(ctx context.Context, st *cached, args []driver.NamedValue) (driver.Rows, error) {
	if err := d.bind(st, args); err != nil {
		d.release(st)
		return nil, err
	}
	if st.names == nil {
		n := st.s.ColumnCount()
		st.names, st.kinds, st.decls = make([]string, n), make([]kind, n), make([]string, n)
		for i := range n {
			st.names[i], st.decls[i] = st.s.ColumnName(i), st.s.ColumnDeclType(i)
			st.kinds[i] = kindOf(st.decls[i])
		}
	}
	r := &rows{d: d, ctx: ctx, st: st}
	if st.readOnly || d.tx || !d.c.raw.GetAutocommit() {
		return r, nil
	}
	defer r.Close()
	all := &bufferedRows{names: st.names, decls: st.decls}
	for {
		row := make([]driver.Value, len(st.names))
		err := r.Next(row)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		for i, v := range row {
			if b, ok := v.([]byte); ok {
				row[i] = append([]byte(nil), b...)
			}
		}
		all.rows = append(all.rows, row)
	}
}

// rows are read from SQLite one by one.
type rows struct {
	d   *driverConn
	ctx context.Context
	st  *cached
}

// Columns implements driver.Rows.
func (r *rows) Columns() []string { return r.st.names }

// ColumnTypeDatabaseTypeName implements driver.RowsColumnTypeDatabaseTypeName.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string { return strings.ToUpper(r.st.decls[i]) }

// ColumnTypeScanType implements driver.RowsColumnTypeScanType.
func (r *rows) ColumnTypeScanType(i int) reflect.Type { return scanType(r.st.decls[i]) }

// Close implements driver.Rows.
func (r *rows) Close() error {
	if r.st == nil {
		return nil
	}
	st := r.st
	r.st = nil
	return r.d.c.Protect(func() error {
		defer r.d.release(st)
		// Reset repeats the error of the last step, which Next has told.
		_ = st.s.Reset()
		return st.s.ClearBindings()
	})
}

// Next implements driver.Rows. Bytes are valid until the next call.
func (r *rows) Next(dest []driver.Value) error {
	return r.d.c.Protect(func() error {
		if old := r.d.c.raw.GetInterrupt(); old != r.ctx {
			r.d.c.SetContext(r.ctx)
		}
		s := r.st.s
		if !s.Step() {
			if err := s.Err(); err != nil {
				if r.ctx.Err() != nil && errors.Is(err, sqlite3.INTERRUPT) {
					return context.Cause(r.ctx)
				}
				return r.d.c.Explain(err)
			}
			return io.EOF
		}
		for i := range dest {
			dest[i] = column(s, i, r.st.kinds[i])
		}
		return nil
	})
}

func column(s *sqlite3.Stmt, i int, k kind) driver.Value {
	t := s.ColumnType(i)
	switch {
	case t == sqlite3.NULL:
		return nil
	case k == boolean && t == sqlite3.INTEGER:
		switch v := s.ColumnInt64(i); v {
		case 0, 1:
			return v == 1
		default:
			return v
		}
	case k == instant && t != sqlite3.BLOB:
		if v := s.ColumnTime(i, sqlite3.TimeFormatAuto); !v.IsZero() {
			return v
		}
	}
	switch t {
	case sqlite3.INTEGER:
		return s.ColumnInt64(i)
	case sqlite3.FLOAT:
		return s.ColumnFloat(i)
	case sqlite3.TEXT:
		return s.ColumnText(i)
	default:
		return s.ColumnRawBlob(i)
	}
}

func scanType(decl string) reflect.Type {
	d := strings.ToUpper(decl)
	switch {
	case kindOf(d) == boolean:
		return reflect.TypeFor[bool]()
	case kindOf(d) == instant:
		return reflect.TypeFor[time.Time]()
	case strings.Contains(d, "INT"):
		return reflect.TypeFor[int64]()
	case strings.Contains(d, "CHAR"), strings.Contains(d, "CLOB"), strings.Contains(d, "TEXT"):
		return reflect.TypeFor[string]()
	case strings.Contains(d, "BLOB"):
		return reflect.TypeFor[[]byte]()
	case strings.Contains(d, "REAL"), strings.Contains(d, "FLOA"), strings.Contains(d, "DOUB"):
		return reflect.TypeFor[float64]()
	}
	return reflect.TypeFor[any]()
}

// bufferedRows are there before the first is asked for.
type bufferedRows struct {
	names, decls []string
	rows         [][]driver.Value
}

// Columns implements driver.Rows.
func (r *bufferedRows) Columns() []string { return r.names }

// ColumnTypeDatabaseTypeName implements driver.RowsColumnTypeDatabaseTypeName.
func (r *bufferedRows) ColumnTypeDatabaseTypeName(i int) string { return strings.ToUpper(r.decls[i]) }

// ColumnTypeScanType implements driver.RowsColumnTypeScanType.
func (r *bufferedRows) ColumnTypeScanType(i int) reflect.Type { return scanType(r.decls[i]) }

// Close implements driver.Rows.
func (r *bufferedRows) Close() error { return nil }

// Next implements driver.Rows.
func (r *bufferedRows) Next(dest []driver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	copy(dest, r.rows[0])
	r.rows = r.rows[1:]
	return nil
}
