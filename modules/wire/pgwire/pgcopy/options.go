package pgcopy

import (
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// Format is a format of COPY.
type Format uint8

// The formats.
const (
	Text Format = iota
	CSV
	Binary
)

// Options say how data looks.
type Options struct {
	Format    Format
	Columns   []string // names, for headers
	Delimiter byte
	Null      string
	Quote     byte
	Escape    byte
	Header    bool // the first line names the columns
	Match     bool // and is checked
	// ForceQuote, ForceNotNull and ForceNull have an element for each column; nil: none.
	ForceQuote   []bool
	ForceNotNull []bool
	ForceNull    []bool
	// MaxRow is in bytes. Default 64 MiB.
	MaxRow int
}

// ParseOptions reads the options of a COPY statement, by their names in lower case. columns are the names of the columns
// that are copied.
func ParseOptions(format string, given map[string]string, columns []string) (*Options, error) {
	o := &Options{Columns: columns, Delimiter: '\t', Null: `\N`, MaxRow: 64 << 20}
	switch strings.ToLower(format) {
	case "", "text":
	case "csv":
		o.Format, o.Delimiter, o.Null, o.Quote, o.Escape = CSV, ',', "", '"', '"'
	case "binary":
		o.Format = Binary
	default:
		return nil, sqlerr.New("22023", `COPY format "%s" not recognized`, format)
	}
	one := func(name string, to *byte) error {
		v, ok := given[name]
		if !ok {
			return nil
		}
		if len(v) != 1 {
			return sqlerr.New("0A000", "COPY %s must be a single one-byte character", name)
		}
		*to = v[0]
		return nil
	}
	if v, ok := given["null"]; ok {
		if strings.ContainsAny(v, "\r\n") {
			return nil, sqlerr.New("22023", "COPY null representation cannot use newline or carriage return")
		}
		o.Null = v
	}
	if err := one("delimiter", &o.Delimiter); err != nil {
		return nil, err
	}
	if o.Format == CSV {
		if err := one("quote", &o.Quote); err != nil {
			return nil, err
		}
		o.Escape = o.Quote
		if err := one("escape", &o.Escape); err != nil {
			return nil, err
		}
	}
	switch v := strings.ToLower(given["header"]); v {
	case "", "false", "off", "0":
		_, ok := given["header"]
		o.Header = ok && v == ""
	case "match":
		o.Header, o.Match = true, true
	case "true", "on", "1":
		o.Header = true
	default:
		return nil, sqlerr.New("42601", "header requires a Boolean value or \"match\"")
	}
	if v, ok := given["encoding"]; ok {
		switch strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(v)) {
		case "utf8", "unicode", "sqlascii":
		default:
			return nil, sqlerr.New("0A000", "COPY in encoding %s is not supported", v).WithHint("Use UTF8.")
		}
	}
	for name, to := range map[string]*[]bool{"force_quote": &o.ForceQuote, "force_not_null": &o.ForceNotNull, "force_null": &o.ForceNull} {
		v, ok := given[name]
		if !ok {
			continue
		}
		if o.Format != CSV {
			return nil, sqlerr.New("0A000", "COPY %s available only in CSV mode", name)
		}
		*to = make([]bool, len(columns))
		for part := range strings.SplitSeq(v, ",") {
			part = strings.TrimSpace(part)
			i := slices.Index(columns, part)
			switch {
			case part == "*":
				for i := range *to {
					(*to)[i] = true
				}
			case i < 0:
				return nil, sqlerr.New("42703", `column "%s" does not exist`, part)
			default:
				(*to)[i] = true
			}
		}
	}
	return o, o.check(given)
}

func (o *Options) check(given map[string]string) error {
	if o.Format == Binary {
		for _, name := range []string{"delimiter", "null", "header"} {
			if _, ok := given[name]; ok {
				return sqlerr.New("42601", "cannot specify %s in BINARY mode", strings.ToUpper(name))
			}
		}
		return nil
	}
	for _, name := range []string{"quote", "escape"} {
		if _, ok := given[name]; ok && o.Format != CSV {
			return sqlerr.New("0A000", "COPY %s available only in CSV mode", name)
		}
	}
	switch {
	case o.Delimiter == '\n' || o.Delimiter == '\r':
		return sqlerr.New("22023", "COPY delimiter cannot be newline or carriage return")
	case o.Format == Text && strings.IndexByte(`\.abcdefghijklmnopqrstuvwxyz0123456789`, o.Delimiter) >= 0:
		return sqlerr.New("22023", `COPY delimiter cannot be "%c"`, o.Delimiter)
	case o.Format == CSV && o.Delimiter == o.Quote:
		return sqlerr.New("22023", "COPY delimiter and quote must be different")
	case strings.IndexByte(o.Null, o.Delimiter) >= 0:
		return sqlerr.New("22023", "COPY delimiter character must not appear in the NULL specification")
	case o.Format == CSV && strings.IndexByte(o.Null, o.Quote) >= 0:
		return sqlerr.New("22023", "CSV quote character must not appear in the NULL specification")
	}
	return nil
}

func is(set []bool, i int) bool { return i < len(set) && set[i] }
