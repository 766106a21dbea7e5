package session

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// check brings a value into the form that is stored, or says why it can't be.
func (v *vars) check(s *spec, value string) (string, error) {
	bad := func() error {
		e := sqlerr.New("22023", `invalid value for parameter "%s": "%s"`, s.name, value).
			My(1231, "Variable '%s' can't be set to the value of '%s'", s.name, value)
		switch {
		case s.name == readConsistency:
			return e.WithHint("Available values: linearizable, leader, stale, stale(DURATION) as in stale(10s).")
		case s.kind == "enum":
			return e.WithHint("Available values: %s.", strings.Join(s.enum, ", "))
		}
		return e
	}
	switch s.name {
	case "timezone", "time_zone":
		name := strings.TrimSpace(value)
		if strings.EqualFold(name, "SYSTEM") || strings.EqualFold(name, "LOCAL") || strings.EqualFold(name, "DEFAULT") {
			return s.def, nil
		}
		if zone, ok := intervalZone(name); ok && !v.x.mysql() {
			return zone, nil
		}
		if _, ok := types.LoadZone(name); !ok {
			return "", sqlerr.New("22023", `invalid value for parameter "TimeZone": "%s"`, value).My(1298, "Unknown or incorrect time zone: '%s'", value)
		}
		return name, nil
	case "client_encoding":
		switch strings.ToUpper(strings.NewReplacer("-", "", "_", "", "'", "").Replace(value)) {
		case "UTF8", "UNICODE", "SQLASCII", "DEFAULT":
			return "UTF8", nil
		}
		return "", sqlerr.New("22023", `invalid value for parameter "client_encoding": "%s"`, value).WithHint("This server speaks UTF8.")
	case "datestyle":
		before, _ := v.get(s.name)
		style, order := dateStyle(before + "," + value) // what isn't named stays
		return [...]string{"ISO", "SQL", "German", "Postgres"}[style] + ", " + [...]string{"MDY", "DMY", "YMD"}[order], nil
	case "transaction_isolation", "default_transaction_isolation":
		level, ok := parseIsolation(value)
		if !ok {
			return "", bad()
		}
		return level.String(), nil
	case "sql_mode":
		return sqlMode(value), nil
	case readConsistency:
		if _, ok := ParseConsistency(value); !ok {
			return "", bad()
		}
		return strings.ToLower(strings.TrimSpace(value)), nil
	}
	switch s.kind {
	case "bool":
		switch strings.ToLower(value) {
		case "1", "on", "true", "yes", "t", "y":
			return v.boolean(true), nil
		case "0", "off", "false", "no", "f", "n":
			return v.boolean(false), nil
		}
		return "", bad()
	case "integer":
		n, unit := splitUnit(value)
		if _, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), unit), 64); err != nil {
			return "", bad()
		}
		if lo, err := strconv.ParseInt(s.min, 10, 64); err == nil && n < lo {
			return "", bad()
		}
		return strings.TrimSpace(value), nil
	case "enum":
		for _, e := range s.enum {
			if strings.EqualFold(e, value) {
				return e, nil
			}
		}
		return "", bad()
	}
	return value, nil
}

// custom refuses names that aren't variables of an application's, which in PostgreSQL are all with a prefix.
func (v *vars) custom(name string) error {
	if v.x.mysql() || !strings.Contains(name, ".") {
		return v.unknown(name)
	}
	for part := range strings.SplitSeq(name, ".") {
		if !identifier(part) {
			e := sqlerr.New("42602", `invalid configuration parameter name "%s"`, name)
			e.Detail = "Custom parameter names must be two or more simple identifiers separated by dots."
			return e
		}
	}
	return reserved(name)
}

func identifier(s string) bool {
	for i, r := range s {
		if !unicode.IsLetter(r) && r != '_' && (i == 0 || r != '$' && (r < '0' || r > '9')) {
			return false
		}
	}
	return s != ""
}

// intervalZone is the zone that SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE names; its value arrives as a stored
// interval. PostgreSQL shows the zone in the notation of POSIX, whose sign counts to the west.
func intervalZone(text string) (string, bool) {
	span, ok := types.ParseStoredInterval([]byte(text))
	if !ok || span.Months != 0 || span.Days != 0 {
		return "", false
	}
	sign, other := "+", "-"
	if span.Micros < 0 {
		sign, other = "-", "+"
	}
	minutes := max(span.Micros, -span.Micros) / 60_000_000
	at := fmt.Sprintf("%02d", minutes/60)
	if minutes%60 != 0 {
		at += fmt.Sprintf(":%02d", minutes%60)
	}
	zone := "<" + sign + at + ">" + other + at
	_, ok = types.LoadZone(zone)
	return zone, ok
}

// sqlMode brings a list of modes into capitals and takes combined modes apart.
func sqlMode(value string) string {
	var out []string
	for part := range strings.SplitSeq(strings.ToUpper(value), ",") {
		part = strings.TrimSpace(part)
		list := []string{part}
		switch part {
		case "":
			continue
		case "ANSI":
			list = []string{"REAL_AS_FLOAT", "PIPES_AS_CONCAT", "ANSI_QUOTES", "IGNORE_SPACE", "ONLY_FULL_GROUP_BY", "ANSI"}
		case "TRADITIONAL":
			list = []string{"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", "NO_ZERO_IN_DATE", "NO_ZERO_DATE", "ERROR_FOR_DIVISION_BY_ZERO", "TRADITIONAL", "NO_ENGINE_SUBSTITUTION"}
		}
		for _, m := range list {
			if !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
	}
	return strings.Join(out, ",")
}

// sortRows orders rows of text by their first column.
func sortRows(rows [][]types.Value) {
	slices.SortFunc(rows, func(a, b []types.Value) int { return cmp.Compare(string(a[0].B), string(b[0].B)) })
}

// specTable makes specs of lines "name|default|kind|flags|more": kind b, i, s, e (enum, values in more), unit after i
// as "i:ms"; flags f (fixed), r (reported).
func specTable(lines string) map[string]*spec {
	out := map[string]*spec{}
	for line := range strings.SplitSeq(lines, "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		p := strings.Split(line, "|")
		for len(p) < 5 {
			p = append(p, "")
		}
		s := &spec{name: p[0], def: p[1], fixed: strings.Contains(p[3], "f"), report: strings.Contains(p[3], "r"), category: "Client Connection Defaults"}
		kind, unit, _ := strings.Cut(p[2], ":")
		s.unit = unit
		s.kind = map[string]string{"b": "bool", "i": "integer", "s": "string", "e": "enum", "": "string"}[kind]
		if s.kind == "enum" {
			s.enum = strings.Split(p[4], ",")
		} else {
			s.help = p[4]
		}
		if s.kind == "integer" {
			s.min = "-1"
		}
		out[s.name] = s
	}
	return out
}
