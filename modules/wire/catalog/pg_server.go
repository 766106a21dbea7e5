package catalog

import (
	"encoding/json"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
)

func init() {
	pgFill("pg_catalog", "pg_database", fill{live: databases})
	for _, name := range []string{"pg_roles", "pg_authid", "pg_user", "pg_shadow"} {
		pgFill("pg_catalog", name, fill{live: rolesOf(name)})
	}
	pgFill("pg_catalog", "pg_settings", fill{live: settings})
	pgFill("pg_catalog", "pg_db_role_setting", fill{live: func(t *table, v *view) {
		for _, d := range v.src.Databases() {
			if list := v.src.SettingsOf(d); len(list) > 0 {
				config, _ := json.Marshal(list)
				t.add("setdatabase", databaseOID(d), "setrole", 0, "setconfig", string(config))
			}
		}
	}})
	pgFill("pg_catalog", "pg_stat_activity", fill{live: activity})
	pgFill("pg_catalog", "pg_stat_ssl", fill{live: func(t *table, v *view) {
		for _, s := range v.src.Sessions() {
			t.add("pid", s.ID, "ssl", s.TLS)
		}
	}})
	pgFill("pg_catalog", "pg_stat_gssapi", fill{live: func(t *table, v *view) {
		for _, s := range v.src.Sessions() {
			t.add("pid", s.ID, "gss_authenticated", false, "encrypted", false)
		}
	}})
	pgFill("pg_catalog", "pg_stat_database", fill{live: func(t *table, v *view) {
		for _, d := range v.src.Databases() {
			n := 0
			for _, s := range v.src.Sessions() {
				if s.Database == d {
					n++
				}
			}
			t.add("datid", databaseOID(d), "datname", d, "numbackends", n)
		}
	}})
	pgFill("pg_catalog", "pg_extension", fill{logical: func(t *table, s *schema.Schema) {
		t.add("oid", 13559, "extname", "plpgsql", "extowner", oidOwner, "extnamespace", oidCatalog, "extversion", extensionVersions["plpgsql"])
		for name, oid := range s.Extensions {
			t.add("oid", oid, "extname", name, "extowner", oidOwner, "extnamespace", 2200, "extrelocatable", true, "extversion", extensionVersions[name])
		}
	}})
	pgFill("pg_catalog", "pg_available_extensions", fill{logical: func(t *table, s *schema.Schema) {
		for _, name := range schema.KnownExtensions() {
			var installed any
			if s.Extensions[name] != 0 || name == "plpgsql" {
				installed = extensionVersions[name]
			}
			t.add("name", name, "default_version", extensionVersions[name], "installed_version", installed, "comment", "built in")
		}
	}})
	pgFill("pg_catalog", "pg_sequences", fill{live: sequenceValues})
	pgFill("pg_catalog", "pg_tables", fill{logical: func(t *table, s *schema.Schema) {
		for _, r := range s.SortedTables() {
			if !r.View {
				t.add("schemaname", shownNamespace(r.Namespace), "tablename", r.Name, "tableowner", roleName(r.Owner),
					"hasindexes", len(s.Indices(r)) > 0, "hasrules", false, "hastriggers", hasTriggers(s, r), "rowsecurity", false)
			}
		}
	}, static: func(t *table) {
		for _, r := range relations().list {
			if r.dialect == ir.Postgres && r.kind == 'r' {
				t.add("schemaname", r.namespace, "tablename", r.name, "tableowner", ownerName, "hasindexes", false, "hasrules", false,
					"hastriggers", false, "rowsecurity", false)
			}
		}
	}})
	pgFill("pg_catalog", "pg_views", fill{logical: func(t *table, s *schema.Schema) {
		for _, r := range s.SortedTables() {
			if r.View {
				t.add("schemaname", shownNamespace(r.Namespace), "viewname", r.Name, "viewowner", roleName(r.Owner),
					"definition", schema.ViewDefinition(s, r, nil))
			}
		}
	}, static: func(t *table) {
		for _, r := range relations().list {
			if r.dialect == ir.Postgres && r.kind == 'v' {
				t.add("schemaname", r.namespace, "viewname", r.name, "viewowner", ownerName)
			}
		}
	}})
	pgFill("pg_catalog", "pg_indexes", fill{logical: func(t *table, s *schema.Schema) {
		for _, x := range sortedIndexes(s) {
			if r := tableOf(s, x.Table); r != nil {
				t.add("schemaname", shownNamespace(r.Namespace), "tablename", r.Name, "indexname", x.RelationName(),
					"indexdef", schema.IndexDefinition(s, r, x))
			}
		}
	}})
	statistics := func(t *table, s *schema.Schema) {
		for _, r := range s.SortedTables() {
			if !r.View {
				t.add("relid", r.OID, "schemaname", shownNamespace(r.Namespace), "relname", r.Name)
			}
		}
	}
	for _, name := range []string{"pg_stat_all_tables", "pg_stat_user_tables", "pg_statio_all_tables", "pg_statio_user_tables"} {
		pgFill("pg_catalog", name, fill{logical: statistics})
	}
	indexStatistics := func(t *table, s *schema.Schema) {
		for _, x := range sortedIndexes(s) {
			if r := tableOf(s, x.Table); r != nil {
				t.add("relid", r.OID, "indexrelid", x.OID, "schemaname", shownNamespace(r.Namespace), "relname", r.Name,
					"indexrelname", x.RelationName())
			}
		}
	}
	for _, name := range []string{"pg_stat_all_indexes", "pg_stat_user_indexes", "pg_statio_all_indexes", "pg_statio_user_indexes"} {
		pgFill("pg_catalog", name, fill{logical: indexStatistics})
	}
}

var extensionVersions = map[string]string{"plpgsql": "1.0", "pgcrypto": "1.3", "uuid-ossp": "1.1"}

func databases(t *table, v *view) {
	for _, d := range v.src.Databases() {
		t.add("oid", databaseOID(d), "datname", d, "datdba", oidOwner, "encoding", 6, "datlocprovider", "c", "datallowconn", true,
			"datconnlimit", -1, "datfrozenxid", 716, "datminmxid", 1, "dattablespace", 1663, "datcollate", "C.UTF-8", "datctype", "C.UTF-8")
	}
}

// allRoles returns the users, with the role that owns what has no other owner.
func allRoles(v *view) []Role {
	list := slices.Clone(v.src.Users())
	has := func(name string) bool {
		return slices.ContainsFunc(list, func(r Role) bool { return r.Name == name })
	}
	if !has(ownerName) {
		list = append(list, Role{Name: ownerName, Superuser: true, CreateDB: true, CreateRole: true})
	}
	if v.src.Dialect() == ir.Postgres {
		list = append(list, Role{Name: "pg_database_owner"})
	}
	if u := v.src.User(); !has(u) && u != "" {
		list = append(list, Role{Name: u, Login: true})
	}
	if v.s != nil {
		all := owners(v.s)
		for _, oid := range slices.Sorted(maps.Keys(all)) {
			if !has(all[oid]) {
				list = append(list, Role{Name: all[oid]})
			}
		}
	}
	return list
}

func rolesOf(name string) func(*table, *view) {
	return func(t *table, v *view) {
		for _, r := range allRoles(v) {
			oid := roleOID(r.Name)
			switch name {
			case "pg_user", "pg_shadow":
				if !r.Login {
					continue
				}
				t.add("usename", r.Name, "usesysid", oid, "usecreatedb", r.CreateDB, "usesuper", r.Superuser, "userepl", false,
					"usebypassrls", r.Superuser, "passwd", "********")
			default:
				row := []any{"oid", oid, "rolname", r.Name, "rolsuper", r.Superuser, "rolinherit", true, "rolcreaterole", r.CreateRole,
					"rolcreatedb", r.CreateDB, "rolcanlogin", r.Login, "rolreplication", false, "rolconnlimit", -1,
					"rolbypassrls", r.Superuser}
				if name == "pg_roles" {
					row = append(row, "rolpassword", "********")
				}
				t.add(row...)
			}
		}
	}
}

// describedSettings are the recorded rows of pg_settings, which say what a setting is about.
var describedSettings = sync.OnceValue(func() map[string][]string {
	m := map[string][]string{}
	for _, line := range lines("settings.tsv") {
		f := strings.Split(line, "\t")
		m[strings.ToLower(f[0])] = f
	}
	return m
})

func settings(t *table, v *view) {
	list := slices.Clone(v.src.Settings())
	slices.SortFunc(list, func(a, b Setting) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	for _, s := range list {
		unit, category, description, context, typ, low, high, enum, boot := s.Unit, s.Category, s.Description, s.Context, s.Type, s.Min, s.Max, s.Enum, s.Boot
		if f := describedSettings()[strings.ToLower(s.Name)]; f != nil {
			fill := func(to *string, from string) {
				if *to == "" {
					*to = from
				}
			}
			fill(&unit, f[2])
			fill(&category, f[3])
			fill(&description, f[4])
			fill(&context, f[5])
			fill(&typ, f[6])
			fill(&low, f[7])
			fill(&high, f[8])
			fill(&boot, f[10])
			if enum == nil && f[9] != "" {
				enum = strings.Split(f[9], ",")
			}
		}
		null := func(s string) any {
			if s == "" {
				return nil
			}
			return s
		}
		or := func(s, other string) string {
			if s == "" {
				return other
			}
			return s
		}
		var values any
		if enum != nil {
			b, _ := json.Marshal(enum)
			values = string(b)
		}
		reset := s.Reset
		if reset == "" {
			reset = s.Value
		}
		t.add("name", s.Name, "setting", s.Value, "unit", null(unit), "category", or(category, "Customized Options"),
			"short_desc", description, "context", or(context, "user"), "vartype", or(typ, "string"), "source", or(s.Source, "default"),
			"min_val", null(low), "max_val", null(high), "enumvals", values, "boot_val", null(boot), "reset_val", reset,
			"pending_restart", false)
	}
}

// timestamp writes a time in the storage form of timestamptz, nil for none.
func timestamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02 15:04:05.000000")
}

func activity(t *table, v *view) {
	for _, s := range v.src.Sessions() {
		var addr, port any
		if host, p, err := net.SplitHostPort(s.ClientAddr); err == nil {
			addr = host
			n, _ := strconv.Atoi(p)
			port = n
		} else {
			port = -1
		}
		var wait, event any
		if s.WaitEvent != "" {
			wait, event = "Client", s.WaitEvent
		}
		t.add("datid", databaseOID(s.Database), "datname", s.Database, "pid", s.ID, "usesysid", roleOID(s.User), "usename", s.User,
			"application_name", s.Application, "client_addr", addr, "client_port", port, "backend_start", timestamp(s.Started),
			"xact_start", timestamp(s.TransactionFrom), "query_start", timestamp(s.QueryFrom), "state_change", timestamp(s.StateFrom),
			"wait_event_type", wait, "wait_event", event, "state", s.State, "query", s.Query, "backend_type", "client backend")
	}
}

// sequenceValues is pg_sequences.
func sequenceValues(t *table, v *view) {
	values := map[int64][2]int64{}
	for _, db := range []string{"main", "temp"} {
		st, _, err := v.db.Prepare(`SELECT oid, value, called FROM ` + db + `."__bop_sequences"`)
		if err != nil {
			continue // no sequence was ever made there
		}
		for st.Step() {
			values[st.ColumnInt64(0)] = [2]int64{st.ColumnInt64(1), st.ColumnInt64(2)}
		}
		st.Close()
	}
	for _, q := range sortedSequences(v.s) {
		var last any
		if x, ok := values[int64(q.OID)]; ok && x[1] != 0 {
			last = x[0]
		}
		t.add("schemaname", shownNamespace(q.Namespace), "sequencename", q.Name, "sequenceowner", roleName(q.Owner),
			"data_type", q.Type.PGOID(), "start_value", q.Start, "min_value", q.Min, "max_value", q.Max, "increment_by", q.Increment,
			"cycle", q.Cycle, "cache_size", q.Cache, "last_value", last)
	}
}
