package plan_test

import (
	"time"

	"github.com/bop-platform/bop/modules/wire/catalog"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
)

// Schema and the methods below make a db the source of its catalogs.
func (d *db) Schema() *schema.Schema { return d.schema }

func (d *db) Database() string           { return "app" }
func (d *db) Databases() []string        { return []string{"app"} }
func (d *db) SettingsOf(string) []string { return nil }
func (d *db) User() string               { return "bop" }
func (d *db) Users() []catalog.Role {
	return []catalog.Role{{Name: "bop", Superuser: true, Login: true}}
}
func (d *db) SearchPath() []string              { return []string{"public"} }
func (d *db) Dialect() ir.Dialect               { return d.dialect }
func (d *db) Settings() []catalog.Setting       { return nil }
func (d *db) GlobalSettings() []catalog.Setting { return nil }
func (d *db) Sessions() []catalog.Session       { return nil }
func (d *db) Follows() bool                     { return false }
func (d *db) Started() time.Time                { return time.Unix(0, 0) }
func (d *db) Location() *time.Location          { return time.UTC }
