package mysql

import (
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
)

// other reads statements that the parser's grammar doesn't have. nil: there is none such, and the syntax error stands.
func (m *mapper) other() ir.Stmt {
	w := newWords(m.original, m.o)
	verb := strings.ToUpper(w.s[w.t.from:w.t.to])
	switch {
	case w.word("check"), w.word("repair"), w.word("checksum"), w.word("analyze"), w.word("optimize"):
		return w.maintain(verb)
	case w.word("show"):
		if st := w.show(); st != nil {
			return st
		}
	case w.word("desc"), w.word("describe"), w.word("explain"):
		return w.describe()
	case w.word("flush"), w.word("reset"):
		for !w.end() && w.t.kind != tokBad {
			w.advance()
		}
		return &ir.Maintain{Kind: "FLUSH"}
	case w.word("kill"):
		return w.kill()
	case w.word("select"):
		for ; !w.end() && w.t.kind != tokBad; w.advance() {
			if w.word("into") && (w.t.kind == tokVar || w.is(w.t, "outfile") || w.is(w.t, "dumpfile")) {
				return &ir.Unsupported{What: "SELECT … INTO"}
			}
		}
	}
	if what := unsupported(m.original, m.o); what != "" {
		return &ir.Unsupported{What: what}
	}
	return nil
}

// maintain is CHECK, REPAIR, CHECKSUM, ANALYZE and OPTIMIZE TABLE with their options.
func (w *words) maintain(kind string) ir.Stmt {
	for w.word("no_write_to_binlog") || w.word("local") {
	}
	if !w.word("table") && !w.word("tables") {
		return nil
	}
	s := &ir.Maintain{Kind: kind + " TABLE"}
	for {
		n, ok := w.name()
		if !ok {
			return nil
		}
		s.Tables = append(s.Tables, n)
		if !w.punct(',') {
			break
		}
	}
	for !w.end() {
		if !w.word("for") && !w.word("upgrade") && !w.word("quick") && !w.word("fast") && !w.word("medium") && !w.word("extended") &&
			!w.word("changed") && !w.word("use_frm") {
			return nil
		}
	}
	return s
}

// show is SHOW of what only servers with binary logs and replicas have.
func (w *words) show() ir.Stmt {
	s := &ir.MyShow{}
	switch {
	case w.all("master", "logs"), w.all("binary", "logs"):
		s.Kind = "BINARY LOGS"
	case w.all("storage", "engines"):
		s.Kind = "ENGINES"
	case w.all("slave", "hosts"), w.all("replicas"), w.all("all", "slaves", "status"):
		s.Kind = "SLAVE STATUS"
	case w.all("replica", "status"), w.all("slave", "status"):
		s.Kind = "SLAVE STATUS"
		if w.all("for", "channel") && w.t.kind == tokString {
			w.advance()
		}
	}
	if s.Kind == "" || !w.end() {
		return nil
	}
	return s
}

// describe is DESCRIBE table 'pattern'.
func (w *words) describe() ir.Stmt {
	n, ok := w.name()
	if !ok {
		return nil
	}
	d := &ir.Describe{Table: n}
	switch w.t.kind {
	case tokString:
		d.Column = unquote(w.s[w.t.from:w.t.to], !w.noBackslash)
		w.advance()
	case tokWord, tokQuoted:
		d.Column, _ = w.identifier(w.t)
		w.advance()
	}
	if !w.end() {
		return nil
	}
	return d
}

// kill is KILL [HARD|SOFT] [CONNECTION|QUERY] id.
func (w *words) kill() ir.Stmt {
	k := &ir.Kill{}
	if !w.word("hard") {
		w.word("soft")
	}
	if !w.word("connection") {
		k.Query = w.word("query")
	}
	if w.t.kind != tokInteger || w.t.to-w.t.from > 18 {
		return nil
	}
	for _, c := range w.s[w.t.from:w.t.to] {
		k.ID = k.ID*10 + uint64(c-'0')
	}
	if w.advance(); !w.end() {
		return nil
	}
	return k
}

// unquote returns the value of a string token.
func unquote(s string, escapes bool) string {
	q, s := s[0], s[1:len(s)-1]
	if strings.IndexByte(s, q) < 0 && (!escapes || strings.IndexByte(s, '\\') < 0) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == q:
			i++
		case c == '\\' && escapes && i+1 < len(s):
			i++
			switch c = s[i]; c {
			case 'n':
				c = '\n'
			case 't':
				c = '\t'
			case 'r':
				c = '\r'
			case 'b':
				c = '\b'
			case '0':
				c = 0
			case 'Z':
				c = 26
			case '%', '_':
				b = append(b, '\\')
			}
		}
		b = append(b, c)
	}
	return string(b)
}

// lacking are statements that are known by their first words and aren't there.
var lacking = []string{
	"create procedure", "create function", "create aggregate function", "create trigger", "create event", "create server", "create tablespace",
	"create undo", "create logfile", "create spatial", "create resource", "create definer", "create or replace definer",
	"create user", "create role",
	"alter procedure", "alter function", "alter event", "alter server", "alter tablespace", "alter view", "alter algorithm", "alter definer",
	"alter sql", "alter user", "alter instance", "alter logfile", "alter undo", "alter resource",
	"drop procedure", "drop function", "drop trigger", "drop event", "drop server", "drop tablespace", "drop logfile", "drop undo",
	"drop resource", "drop user", "drop role", "drop spatial",
	"show create procedure", "show create function", "show create trigger", "show create event", "show create user", "show engine",
	"show procedure", "show function", "show profile", "show relaylog", "show binlog", "show package", "show explain", "show warnings limit", "show errors limit",
	"set password", "set resource", "set default role", "rename user", "grant", "revoke",
	"handler", "call", "signal", "resignal", "get diagnostics", "get current", "get stacked", "declare", "xa", "install", "uninstall", "help",
	"change master", "change replication", "start slave", "start replica", "start group_replication", "stop slave", "stop replica",
	"stop group_replication", "purge", "cache index", "load index", "load xml", "import table", "lock instance", "unlock instance",
	"clone", "shutdown", "restart", "binlog",
}

// unsupported names a statement of the list, "" for others.
func unsupported(text string, o Options) string {
	l := o.lexer(text)
	var first [4]string
	for i := range first {
		t := l.next()
		if t.kind != tokWord {
			break
		}
		first[i] = strings.ToLower(text[t.from:t.to])
	}
	joined := strings.TrimRight(strings.Join(first[:], " "), " ") + " "
	for _, s := range lacking {
		if !strings.HasPrefix(joined, s+" ") {
			continue
		}
		switch s {
		case "create definer", "create or replace definer", "alter definer", "alter algorithm", "alter sql":
			return definer(text, o)
		case "create spatial":
			return "CREATE SPATIAL INDEX"
		}
		return strings.ToUpper(s)
	}
	return ""
}

// definer names what CREATE DEFINER = … creates; "" if it is a view, which the grammar knows.
func definer(text string, o Options) string {
	l := o.lexer(text)
	verb := l.next()
	for range 16 {
		t := l.next()
		for _, what := range [...]string{"procedure", "function", "trigger", "event"} {
			if l.is(t, what) {
				return strings.ToUpper(text[verb.from:verb.to] + " " + what)
			}
		}
		if l.is(t, "view") && l.is(verb, "alter") {
			return "ALTER VIEW"
		}
	}
	return ""
}
