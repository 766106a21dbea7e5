package session

import (
	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/catalog"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func registerCatalog(c *sqlite3.Conn, st *connState) error { return nil }

func systemRelation(d ir.Dialect, namespace, name string) *schema.Table {
	return catalog.Relation(d, namespace, name)
}

func parseMySQL(text string, o parseOptions) ([]*ir.Statement, error) {
	return nil, sqlerr.Unsupported("MySQL's dialect")
}

type parseOptions struct{ ANSIQuotes, PipesAsConcat, NoBackslashEscapes bool }

func (v *vars) parseOptions() parseOptions {
	return parseOptions{v.ansiQuotes, !v.pipesAsOr, v.noBackslash}
}

// regName is the name that an OID of a reg… type is printed as.
func (x *Session) regName(k types.Kind, oid uint32) string { return "" }
