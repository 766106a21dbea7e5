package funcs_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres"
	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// The files testdata/pg/*.txt hold queries and what PostgreSQL 15 answered. To ask it again, give psql's command line:
//
//	go test ./funcs -run TestAgainstPostgres -psql "psql -h /tmp -p 5432 -U postgres"
var psql = flag.String("psql", "", "command line of psql; records PostgreSQL's answers in testdata/pg")

// A query is one line; its answer follows, a line "| a | b" for each row, or "! SQLSTATE message".
type recorded struct {
	query  string
	answer []string
}

func readRecorded(t *testing.T, file string) (head []string, all []recorded) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "":
		case strings.HasPrefix(line, "#"):
			head = append(head, line)
		case strings.HasPrefix(line, "|") || strings.HasPrefix(line, "!"):
			r := &all[len(all)-1]
			r.answer = append(r.answer, line)
		default:
			all = append(all, recorded{query: line})
		}
	}
	return head, all
}

func TestAgainstPostgres(t *testing.T) {
	files, err := filepath.Glob("testdata/pg/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no recorded queries", err)
	}
	for _, file := range files {
		if *psql != "" {
			record(t, file)
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			s := newSession(t)
			_, all := readRecorded(t, file)
			for _, r := range all {
				t.Run(r.query, func(t *testing.T) {
					if got, want := strings.Join(s.ask(r.query), "\n"), strings.Join(r.answer, "\n"); got != want {
						t.Errorf("%s\ngot\n%s\nPostgreSQL\n%s", r.query, got, want)
					}
				})
			}
		})
	}
}

// record writes PostgreSQL's answers into a file.
func record(t *testing.T, file string) {
	head, all := readRecorded(t, file)
	var out bytes.Buffer
	for _, h := range head {
		fmt.Fprintln(&out, h)
	}
	for _, r := range all {
		script := "SET TimeZone = 'Europe/Berlin';\n\\set VERBOSITY verbose\n" + r.query + ";\n"
		args := strings.Fields(*psql)
		cmd := exec.Command(args[0], append(args[1:], "-XqAt", "-F", " | ", "-P", "null=NULL", "-f", "-")...)
		cmd.Stdin = strings.NewReader(script)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v: %s", r.query, err, stderr.String())
		}
		fmt.Fprintln(&out, r.query)
		if m := regexp.MustCompile(`ERROR:  (\w{5}): (.*)`).FindStringSubmatch(stderr.String()); m != nil {
			fmt.Fprintf(&out, "! %s %s\n", m[1], m[2])
			continue
		}
		// A value with a line end is printed on one line, as ask does.
		for row := range strings.Lines(stdout.String()) {
			fmt.Fprintln(&out, "| "+strings.TrimRight(row, "\n"))
		}
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// session is a connection that answers PostgreSQL's queries.
type session struct {
	t      *testing.T
	conn   *sqlite3.Conn
	plan   plan.Env
	funcs  funcs.Env
	format *types.PGFormat
}

func newSession(t *testing.T) *session {
	c, err := sqlite3.Open(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	loc, ok := types.LoadZone("Europe/Berlin")
	if !ok {
		t.Fatal("no time zone")
	}
	s := &session{t: t, conn: c, format: &types.PGFormat{Location: loc, ExtraFloatDigits: 1}}
	now := time.Now()
	s.funcs = funcs.Env{TxTime: now, StatementTime: now, Location: loc, TimeZone: "Europe/Berlin", User: "postgres", SessionUser: "postgres",
		Database: "postgres", SearchPath: []string{"public"}}
	if err := funcs.Register(c, &s.funcs); err != nil {
		t.Fatal(err)
	}
	sc, err := schema.Load(c)
	if err != nil {
		t.Fatal(err)
	}
	s.plan = plan.Env{Database: "postgres", Schema: sc}
	return s
}

// ask runs a query and prints its answer as the files have it.
func (s *session) ask(query string) []string {
	rows, err := s.rows(query)
	if err != nil {
		var e *sqlerr.Error
		if !errors.As(err, &e) {
			if c, ok := sqlerr.Carried(err.Error()); ok {
				e = c
			} else {
				return []string{"! " + err.Error()}
			}
		}
		return []string{"! " + e.State + " " + e.Message}
	}
	return rows
}

func (s *session) rows(query string) ([]string, error) {
	all, err := postgres.Parse(query)
	if err != nil {
		return nil, err
	}
	p, err := plan.Build(all[0], &s.plan)
	if err != nil {
		return nil, err
	}
	st, _, err := s.conn.Prepare(p.SQL)
	if err != nil {
		return nil, fmt.Errorf("%w in %s", err, p.SQL)
	}
	defer st.Close()
	var out []string
	for st.Step() {
		line := []byte("|")
		for i, c := range p.Columns {
			if i > 0 {
				line = append(line, " |"...)
			}
			line = append(line, ' ')
			v := types.Value{}
			switch st.ColumnType(i) {
			case sqlite3.INTEGER:
				v = types.IntValue(st.ColumnInt64(i))
			case sqlite3.FLOAT:
				v = types.FloatValue(st.ColumnFloat(i))
			case sqlite3.TEXT:
				v = types.StringValue(st.ColumnText(i))
			case sqlite3.BLOB:
				v = types.BlobValue(st.ColumnBlob(i, nil))
			}
			if v.IsNull() {
				line = append(line, "NULL"...)
				continue
			}
			line = types.AppendPGText(line, c.Type, v, s.format)
		}
		for l := range strings.SplitSeq(string(line), "\n") {
			if len(out) > 0 && !strings.HasPrefix(l, "|") {
				l = "| " + l
			} else if !strings.HasPrefix(l, "|") {
				l = "| " + l
			}
			out = append(out, l)
		}
	}
	return out, st.Err()
}
