package plan_test

import (
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
)

func system(d ir.Dialect, namespace, name string) *schema.Table { return nil }
