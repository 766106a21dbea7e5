package plan_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/schema"
)

// The files of testdata/postgres and testdata/mysql hold statements with what a real server answers. They are written by
//
//	go test ./plan -run TestSameAsPostgres -psql "psql -h HOST -p PORT -U postgres -d scratch"
//	go test ./plan -run TestSameAsMySQL -mysql "mariadb -h HOST -P PORT -u root scratch"
//
// against an empty database that may be cleared, and read by the tests without a server. Lines that begin with "ours:"
// replace the recorded answer where ours differs and the reason is beside it.
//
//	setup    statements that must succeed, nothing recorded
//	same     one statement and its rows or error
//	params   the types that PostgreSQL gives to the parameters of one statement
var (
	psql        = flag.String("psql", "", "command that runs SQL from its input on PostgreSQL: records testdata/postgres")
	mysqlClient = flag.String("mysql", "", "command that runs SQL from its input on MySQL or MariaDB: records testdata/mysql")
)

// block is a command of a recorded file.
type block struct {
	line  int
	head  string
	body  string
	want  string
	plain string // comments and empty lines
}

func readBlocks(t *testing.T, file string) []block {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []block
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	for i := 0; i < len(lines); {
		if lines[i] == "" || strings.HasPrefix(lines[i], "#") {
			out = append(out, block{plain: lines[i] + "\n"})
			i++
			continue
		}
		b := block{line: i + 1, head: lines[i]}
		for i++; i < len(lines) && lines[i] != "" && lines[i] != "----"; i++ {
			b.body += lines[i] + "\n"
		}
		if i < len(lines) && lines[i] == "----" {
			for i++; i < len(lines) && lines[i] != ""; i++ {
				b.want += lines[i] + "\n"
			}
		}
		out = append(out, b)
	}
	return out
}

func writeBlocks(t *testing.T, file string, bs []block) {
	var s strings.Builder
	for _, b := range bs {
		if b.plain != "" {
			s.WriteString(b.plain)
			continue
		}
		s.WriteString(b.head + "\n" + b.body)
		if b.head != "setup" {
			s.WriteString("----\n" + b.want)
		}
	}
	if err := os.WriteFile(file, []byte(s.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func compareFiles(t *testing.T, dialectName string, record func(*testing.T, []block)) {
	files, err := filepath.Glob("testdata/" + dialectName + "/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			bs := readBlocks(t, file)
			if record != nil {
				record(t, bs)
				writeBlocks(t, file, bs)
			}
			d := openDB(t)
			for _, b := range bs {
				if b.plain != "" {
					continue
				}
				got := d.answer(b.head, dialectName, b.body)
				want := b.want
				if ours, ok := oursOf(b.want); ok {
					want = ours
				}
				if dialectName == "mysql" {
					got, want = onlyNumbers(got), onlyNumbers(want)
				}
				if got != want {
					t.Errorf("%s:%d: %s----\ngot:\n%s\nwant:\n%s", file, b.line, b.body, got, want)
				}
			}
		})
	}
}

// onlyNumbers cuts the words of MySQL's errors: MariaDB, which is recorded, words some in its own way.
func onlyNumbers(s string) string {
	var out strings.Builder
	for l := range strings.Lines(s) {
		if rest, ok := strings.CutPrefix(l, "error: "); ok && !strings.HasPrefix(rest, "sqlite3") {
			number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			l = "error: " + number + "\n"
		}
		out.WriteString(l)
	}
	return out.String()
}

// oursOf returns the lines of an answer that are marked as ours.
func oursOf(want string) (string, bool) {
	var s strings.Builder
	for l := range strings.Lines(want) {
		if rest, ok := strings.CutPrefix(l, "ours: "); ok {
			s.WriteString(rest)
		}
	}
	return s.String(), s.Len() > 0
}

// answer runs the statements of a block and prints rows, or the error as the recording does.
func (d *db) answer(head, dialectName, body string) string {
	list, dialect, err := parse(dialectName, body)
	if err != nil {
		return shortError(errorText(dialect, err))
	}
	var s strings.Builder
	for _, st := range list {
		if head == "params" {
			p, err := plan.Build(st, &d.env)
			if err != nil {
				s.WriteString(shortError(errorText(dialect, err)))
				continue
			}
			names := make([]string, len(p.Params))
			for i, t := range p.Params {
				names[i] = typeText(t)
				if e, ok := d.schema.ByOID[t.OID].(*schema.Enum); ok {
					names[i] = e.Name
				}
			}
			s.WriteString(strings.Join(names, ", ") + "\n")
			continue
		}
		p, rows, err := d.do(st)
		if err != nil {
			text := shortError(errorText(dialect, err))
			if p != nil && strings.HasPrefix(text, "error: sqlite3") {
				text += "sql: " + p.SQL + "\n"
			}
			s.WriteString(text)
			if dialect == ir.MySQL {
				break // as the client does
			}
			continue
		}
		if head == "setup" {
			continue
		}
		for _, r := range rows {
			s.WriteString(r + "\n")
		}
	}
	return s.String()
}

// shortError keeps the first line of an error.
func shortError(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line + "\n"
}

func TestSameAsMySQL(t *testing.T) {
	var record func(*testing.T, []block)
	if *mysqlClient != "" {
		record = recordMySQL
	}
	compareFiles(t, "mysql", record)
}

// recordMySQL runs every block in a client of its own: statements must not depend on their session.
func recordMySQL(t *testing.T, bs []block) {
	words := append(strings.Fields(*mysqlClient), "--batch", "--raw", "--skip-column-names", "--default-character-set=utf8mb4")
	run := func(sql string) (string, string, error) {
		cmd := exec.Command(words[0], words[1:]...)
		var out, fails bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(sql), &out, &fails
		err := cmd.Run()
		return out.String(), fails.String(), err
	}
	if _, fails, err := run("SET foreign_key_checks = 0; DROP DATABASE IF EXISTS app; CREATE DATABASE app CHARACTER SET utf8mb4"); err != nil {
		t.Fatal(fails)
	}
	words = append(words, "app")
	for i := range bs {
		b := &bs[i]
		if b.plain != "" {
			continue
		}
		out, fails, err := run(b.body)
		if b.head == "setup" {
			if err != nil {
				t.Fatal(fails)
			}
			continue
		}
		if _, ours := oursOf(b.want); ours {
			continue
		}
		b.want = strings.ReplaceAll(out, "\t", "|")
		if _, msg, ok := strings.Cut(fails, "ERROR "); ok {
			number, rest, _ := strings.Cut(msg, " ")
			_, rest, _ = strings.Cut(rest, ": ")
			b.want += "error: " + number + " " + strings.TrimSpace(rest) + "\n"
		}
	}
}

func TestSameAsPostgres(t *testing.T) {
	var record func(*testing.T, []block)
	if *psql != "" {
		record = recordPostgres
	}
	compareFiles(t, "postgres", record)
}

func recordPostgres(t *testing.T, bs []block) {
	var in bytes.Buffer
	in.WriteString("\\set VERBOSITY verbose\n\\pset null NULL\nDROP SCHEMA IF EXISTS public, other CASCADE; CREATE SCHEMA public; SET client_min_messages = warning; SET timezone = 'UTC';\n")
	for i, b := range bs {
		if b.plain != "" {
			continue
		}
		sql := strings.TrimSuffix(strings.TrimSpace(b.body), ";") + ";"
		if b.head == "params" {
			sql = "PREPARE p AS " + sql + "\nSELECT array_to_string(parameter_types, ', ') FROM pg_prepared_statements WHERE name = 'p';\nDEALLOCATE ALL;"
		}
		fmt.Fprintf(&in, "\\echo @@ %d\n%s\n", i, sql)
	}
	words := append(strings.Fields(*psql), "-X", "-q", "-A", "-t", "-f", "-")
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin = &in
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	current := -1
	for l := range strings.Lines(string(out)) {
		if n, ok := strings.CutPrefix(l, "@@ "); ok {
			fmt.Sscan(n, &current)
			b := &bs[current]
			if ours, ok := oursOf(b.want); ok {
				b.want = ""
				for o := range strings.Lines(ours) {
					b.want += "ours: " + o
				}
				continue
			}
			b.want = ""
			continue
		}
		if current < 0 || bs[current].head == "setup" {
			if strings.Contains(l, "ERROR:") {
				t.Errorf("%s", l)
			}
			continue
		}
		if _, msg, ok := strings.Cut(l, "ERROR:  "); ok {
			bs[current].want += "error: " + strings.Replace(msg, ": ", " ", 1)
			continue
		}
		if strings.HasPrefix(l, "LINE ") || strings.HasPrefix(l, "LOCATION:") || strings.HasPrefix(l, "HINT:") || strings.HasPrefix(l, "DETAIL:") ||
			strings.HasPrefix(strings.TrimSpace(l), "^") || strings.Contains(l, "NOTICE:") || strings.HasPrefix(l, "CONTEXT:") ||
			strings.Contains(l, " NAME:  ") {
			continue
		}
		bs[current].want += l
	}
}
