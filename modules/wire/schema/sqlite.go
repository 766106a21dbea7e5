package schema

import (
	"fmt"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// quote writes a name as SQLite's SQL.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// text writes a string literal.
func text(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// rows runs a query and calls each for every row. Arguments are strings, integers or nil.
func rows(c *sqlite3.Conn, sql string, each func(*sqlite3.Stmt) error, args ...any) error {
	st, _, err := c.Prepare(sql)
	if err != nil {
		return err
	}
	defer st.Close()
	for i, a := range args {
		switch v := a.(type) {
		case string:
			err = st.BindText(i+1, v)
		case int64:
			err = st.BindInt64(i+1, v)
		case uint32:
			err = st.BindInt64(i+1, int64(v))
		case int:
			err = st.BindInt(i+1, v)
		case nil:
			err = st.BindNull(i + 1)
		default:
			return fmt.Errorf("argument of type %T", a)
		}
		if err != nil {
			return err
		}
	}
	for st.Step() {
		if each == nil {
			continue
		}
		if err := each(st); err != nil {
			return err
		}
	}
	return st.Err()
}

// exec runs one statement.
func exec(c *sqlite3.Conn, sql string, args ...any) error { return rows(c, sql, nil, args...) }

// number runs a query for one integer; ok is false without a row or with a NULL.
func number(c *sqlite3.Conn, sql string, args ...any) (n int64, ok bool, err error) {
	err = rows(c, sql, func(st *sqlite3.Stmt) error {
		if !ok && st.ColumnType(0) != sqlite3.NULL {
			n, ok = st.ColumnInt64(0), true
		}
		return nil
	}, args...)
	return n, ok, err
}

// token is a piece of SQLite's SQL.
type token struct {
	kind       byte // 'i' identifier (name is unquoted), 's' string or blob, 'n' number, 'p' punctuation, 'w' space or comment
	start, end int
	name       string
}

// tokens cuts SQLite's SQL into pieces; it never fails: what it can't tell is punctuation.
func tokens(sql string) []token {
	var out []token
	for i := 0; i < len(sql); {
		start, c := i, sql[i]
		t := token{kind: 'p', start: start}
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			for i < len(sql) && strings.IndexByte(" \t\n\r\f", sql[i]) >= 0 {
				i++
			}
			t.kind = 'w'
		case strings.HasPrefix(sql[i:], "--"):
			if n := strings.IndexByte(sql[i:], '\n'); n >= 0 {
				i += n
			} else {
				i = len(sql)
			}
			t.kind = 'w'
		case strings.HasPrefix(sql[i:], "/*"):
			if n := strings.Index(sql[i+2:], "*/"); n >= 0 {
				i += n + 4
			} else {
				i = len(sql)
			}
			t.kind = 'w'
		case c == '\'' || c == '"' || c == '`':
			i = quotedEnd(sql, i, c)
			t.kind = 's'
			if c != '\'' {
				t.kind = 'i'
				body := strings.TrimSuffix(sql[start+1:i], string(c))
				t.name = strings.ReplaceAll(body, string([]byte{c, c}), string(c))
			}
		case c == '[':
			if n := strings.IndexByte(sql[i:], ']'); n >= 0 {
				i += n + 1
				t.name = sql[start+1 : i-1]
			} else {
				i = len(sql)
				t.name = sql[start+1:]
			}
			t.kind = 'i'
		case (c == 'x' || c == 'X') && i+1 < len(sql) && sql[i+1] == '\'':
			i = quotedEnd(sql, i+1, '\'')
			t.kind = 's'
		case isNameByte(c) && (c < '0' || c > '9'):
			for i < len(sql) && isNameByte(sql[i]) {
				i++
			}
			t.kind, t.name = 'i', sql[start:i]
		case c >= '0' && c <= '9':
			for i < len(sql) && (isNameByte(sql[i]) || sql[i] == '.') {
				i++
			}
			t.kind = 'n'
		default:
			i++
		}
		t.end = i
		out = append(out, t)
	}
	return out
}

func quotedEnd(sql string, i int, q byte) int {
	for i++; i < len(sql); i++ {
		if sql[i] != q {
			continue
		}
		if i+1 < len(sql) && sql[i+1] == q {
			i++
			continue
		}
		return i + 1
	}
	return len(sql)
}

func isNameByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// isLiteral tells whether SQLite's SQL is one constant: a number, string, blob or NULL, signed or in parentheses.
func isLiteral(sql string) bool {
	depth, seen := 0, false
	for _, t := range tokens(sql) {
		s := sql[t.start:t.end]
		switch {
		case t.kind == 'w':
		case s == "(":
			depth++
		case s == ")":
			depth--
		case s == "-" || s == "+":
			if seen {
				return false
			}
		case t.kind == 's' || t.kind == 'n' || t.kind == 'i' && strings.EqualFold(s, "null"):
			if seen {
				return false
			}
			seen = true
		default:
			return false
		}
	}
	return seen && depth == 0
}

// replaceName rewrites each identifier equal to from; exact, as our own SQL is always quoted the same way.
func replaceName(sql, from, to string) string {
	var b strings.Builder
	last := 0
	for _, t := range tokens(sql) {
		if t.kind == 'i' && t.name == from && sql[t.start] == '"' {
			b.WriteString(sql[last:t.start])
			b.WriteString(to)
			last = t.end
		}
	}
	b.WriteString(sql[last:])
	return b.String()
}
