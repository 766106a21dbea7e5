package funcs

import (
	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// ManyRows is the function that a scalar subquery calls when it has more than one row.
const ManyRows = "bop_many_rows"

func init() {
	implement(func(r *Registrar) {
		r.Impure(ManyRows, 0, func(ctx sqlite3.Context, _ Values) {
			fail(ctx, sqlerr.New("21000", "more than one row returned by a subquery used as an expression").
				My(1242, "Subquery returns more than 1 row"))
		})
	})
}
