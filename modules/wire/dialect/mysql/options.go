package mysql

import (
	parsermysql "github.com/pingcap/tidb/pkg/parser/mysql"
)

// Version is the version of MySQL whose comments (/*!80036 … */) are executed.
const Version = 80036

// MaxText is the length in bytes of the longest text that Parse takes.
const MaxText = 64 << 20

// Options are the bits of sql_mode that change what a text means.
type Options struct {
	ANSIQuotes         bool // "name" is a name
	PipesAsConcat      bool // || concatenates
	NoBackslashEscapes bool // a backslash in a string is itself
	IgnoreSpace        bool // count (*) is a call
	HighNotPrecedence  bool
	RealAsFloat        bool
}

func (o Options) mode() parsermysql.SQLMode {
	var m parsermysql.SQLMode
	for _, bit := range []struct {
		on   bool
		mode parsermysql.SQLMode
	}{
		{o.ANSIQuotes, parsermysql.ModeANSIQuotes},
		{o.PipesAsConcat, parsermysql.ModePipesAsConcat},
		{o.NoBackslashEscapes, parsermysql.ModeNoBackslashEscapes},
		{o.IgnoreSpace, parsermysql.ModeIgnoreSpace},
		{o.HighNotPrecedence, parsermysql.ModeHighNotPrecedence},
		{o.RealAsFloat, parsermysql.ModeRealAsFloat},
	} {
		if bit.on {
			m |= bit.mode
		}
	}
	return m
}
