package session

import (
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

func parseMySQL(text string, o parseOptions) ([]*ir.Statement, error) {
	return nil, sqlerr.Unsupported("MySQL's dialect")
}

type parseOptions struct{ ANSIQuotes, PipesAsConcat, NoBackslashEscapes bool }

func (v *vars) parseOptions() parseOptions {
	return parseOptions{v.ansiQuotes, !v.pipesAsOr, v.noBackslash}
}
