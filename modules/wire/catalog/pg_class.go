package catalog

import (
	"slices"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/types"
)

func init() {
	pgFill("pg_catalog", "pg_namespace", fill{logical: namespaces})
	pgFill("pg_catalog", "pg_class", fill{static: systemClasses, logical: classes})
	pgFill("pg_catalog", "pg_attribute", fill{static: systemAttributes, logical: attributes})
	pgFill("pg_catalog", "pg_attrdef", fill{logical: defaults})
	pgFill("pg_catalog", "pg_index", fill{logical: indexes})
	pgFill("pg_catalog", "pg_constraint", fill{logical: constraints})
	pgFill("pg_catalog", "pg_sequence", fill{logical: sequences})
	pgFill("pg_catalog", "pg_description", fill{logical: descriptions})
	pgFill("pg_catalog", "pg_rewrite", fill{logical: rules})
	pgFill("pg_catalog", "pg_depend", fill{logical: dependencies})
}

func namespaces(t *table, s *schema.Schema) {
	add := func(oid uint32, name, owner string) {
		t.add("oid", oid, "nspname", name, "nspowner", roleOID(owner))
	}
	add(oidCatalog, "pg_catalog", "")
	add(oidToast, "pg_toast", "")
	add(oidInformation, "information_schema", "")
	if s.HasTemp {
		add(oidTemp, shownNamespace(schema.TempNamespace), "")
	}
	for _, n := range s.Namespaces {
		if n.Name == schema.Public && n.Owner == "" {
			// As a new database has it: pg_dump leaves it out then.
			t.add("oid", n.OID, "nspname", n.Name, "nspowner", oidDatabaseOwner,
				"nspacl", `["pg_database_owner=UC/pg_database_owner","=U/pg_database_owner"]`)
			continue
		}
		add(n.OID, n.Name, n.Owner)
	}
}

func systemClasses(t *table) {
	for _, r := range relations().list {
		if r.dialect != ir.Postgres {
			continue
		}
		ns, am := oidCatalog, oidHeap
		if r.namespace == "information_schema" {
			ns = oidInformation
		}
		if r.kind == 'v' {
			am = 0
		}
		t.add("oid", r.oid, "relname", r.name, "relnamespace", ns, "reltype", r.rowType, "relowner", oidOwner, "relam", am,
			"reltuples", -1.0, "relpersistence", "p", "relkind", r.kind, "relnatts", len(r.columns),
			"relhasrules", r.kind == 'v', "relispopulated", true, "relreplident", "n")
	}
}

func classes(t *table, s *schema.Schema) {
	for _, r := range s.SortedTables() {
		kind, am, persistence, replident := "r", oidHeap, "p", "d"
		if r.View {
			kind, am, replident = "v", 0, "n"
		}
		if r.Temp {
			persistence = "t"
		}
		checks := 0
		for _, k := range r.Constraints {
			if k.Kind == schema.Check {
				checks++
			}
		}
		file := r.OID
		if r.View {
			file = 0
		}
		t.add("oid", r.OID, "relname", r.Name, "relnamespace", namespaceOID(s, r.Namespace), "reltype", r.RowType,
			"relowner", roleOID(r.Owner), "relam", am, "relfilenode", file, "reltuples", -1.0,
			"relhasindex", len(s.Indices(r)) > 0, "relpersistence", persistence, "relkind", kind, "relnatts", int(r.LastColumn),
			"relchecks", checks, "relhasrules", r.View, "relhastriggers", hasTriggers(s, r), "relispopulated", true, "relreplident", replident)
	}
	for _, x := range sortedIndexes(s) {
		r := tableOf(s, x.Table)
		if r == nil {
			continue
		}
		persistence := "p"
		if r.Temp {
			persistence = "t"
		}
		t.add("oid", x.OID, "relname", x.RelationName(), "relnamespace", namespaceOID(s, x.Namespace), "relowner", roleOID(r.Owner),
			"relam", methodOID(x), "relfilenode", x.OID, "relpersistence", persistence, "relkind", "i",
			"relnatts", len(x.Columns)+len(x.Include), "relispopulated", true, "relreplident", "n")
	}
	for _, q := range sortedSequences(s) {
		persistence := "p"
		if q.Temp {
			persistence = "t"
		}
		t.add("oid", q.OID, "relname", q.Name, "relnamespace", namespaceOID(s, q.Namespace), "relowner", roleOID(q.Owner),
			"relfilenode", q.OID, "relpages", 1, "reltuples", 1.0, "relpersistence", persistence, "relkind", "S", "relnatts", 3,
			"relispopulated", true, "relreplident", "n")
	}
}

// hasTriggers tells whether PostgreSQL would enforce foreign keys of a table, or to it, by triggers: psql and pg_dump ask
// for foreign keys only then.
func hasTriggers(s *schema.Schema, r *schema.Table) bool {
	return len(s.Referencing(r)) > 0 || slices.ContainsFunc(r.Constraints, func(k *schema.Constraint) bool { return k.Kind == schema.ForeignKey })
}

func methodOID(x *schema.Index) int {
	switch schema.IndexMethod(x) {
	case "hash":
		return 405
	case "gist":
		return 783
	case "gin":
		return 2742
	case "spgist":
		return 4000
	case "brin":
		return 3580
	}
	return oidBtree
}

// attribute adds a row of pg_attribute; more holds what isn't usual.
func attribute(t *table, relation uint32, num int, name string, typ types.Type, oid uint32, more ...any) {
	a := attributesOf(typ)
	t.add(append([]any{"attrelid", relation, "attname", name, "atttypid", oid, "attstattarget", -1, "attlen", a.len,
		"attnum", num, "attndims", dimensions(typ), "attcacheoff", -1, "atttypmod", typ.Typmod(), "attbyval", a.byVal,
		"attalign", a.align, "attstorage", a.storage, "attislocal", true, "attcollation", a.collation}, more...)...)
}

func systemAttributes(t *table) {
	for _, r := range relations().list {
		if r.dialect != ir.Postgres {
			continue
		}
		for i, c := range r.columns {
			attribute(t, r.oid, i+1, c, r.types[i], r.types[i].PGOID(), "attnotnull", r.zero[i] != nil)
		}
	}
}

func attributes(t *table, s *schema.Schema) {
	for _, r := range s.SortedTables() {
		for _, c := range r.Columns {
			identity, generated := "", ""
			switch c.Identity {
			case "ALWAYS":
				identity = "a"
			case "BY DEFAULT":
				identity = "d"
			}
			if c.AutoIncrement {
				identity = "d"
			}
			if c.Generated != "" {
				generated = "s"
			}
			coll := attributesOf(c.Type).collation
			if coll != 0 {
				switch c.Collation {
				case "C":
					coll = 950
				case "POSIX":
					coll = 951
				}
			}
			notNull, mod := c.NotNull && !r.View, c.Type.Typmod()
			if d, ok := s.ByOID[c.Domain].(*schema.Domain); ok && c.Domain != 0 {
				notNull, mod = notNull && !d.NotNull, -1 // the domain says so itself
			}
			attribute(t, r.OID, int(c.Num), c.Name, c.Type, typeOID(c), "attnotnull", notNull, "atttypmod", mod,
				"atthasdef", hasDefault(c), "attidentity", identity, "attgenerated", generated, "attcollation", coll)
		}
	}
	for _, x := range sortedIndexes(s) {
		r := tableOf(s, x.Table)
		if r == nil {
			continue
		}
		for i, ic := range x.Columns {
			if c := r.ColumnByNum(ic.Column); c != nil {
				attribute(t, x.OID, i+1, c.Name, c.Type, typeOID(c))
				continue
			}
			name := "expr"
			if i > 0 {
				name += strconv.Itoa(i)
			}
			typ := expressionType(ic)
			attribute(t, x.OID, i+1, name, typ, typ.PGOID())
		}
		for i, n := range x.Include {
			if c := r.ColumnByNum(n); c != nil {
				attribute(t, x.OID, len(x.Columns)+i+1, c.Name, c.Type, typeOID(c))
			}
		}
	}
	for _, q := range sortedSequences(s) {
		attribute(t, q.OID, 1, "last_value", types.T(types.Int8), 20, "attnotnull", true)
		attribute(t, q.OID, 2, "log_cnt", types.T(types.Int8), 20, "attnotnull", true)
		attribute(t, q.OID, 3, "is_called", types.T(types.Bool), 16, "attnotnull", true)
	}
}

// expressionType is the type of an index's expression.
func expressionType(ic schema.IndexColumn) types.Type {
	if t, ok := types.FromOID(ic.TypeOID, -1); ok && ic.TypeOID != 0 {
		return t
	}
	return types.T(types.Text)
}

// hasDefault tells whether pg_attrdef has a row for a column: identity columns have none.
func hasDefault(c *schema.Column) bool {
	return c.Generated != "" || c.Default != "" || c.NextVal != 0 && c.Identity == ""
}

func defaultOID(t *schema.Table, c *schema.Column) uint32 {
	return numberedOID("default", t.OID, int(c.Num))
}

func defaults(t *table, s *schema.Schema) {
	for _, r := range s.SortedTables() {
		for _, c := range r.Columns {
			if hasDefault(c) {
				t.add("oid", defaultOID(r, c), "adrelid", r.OID, "adnum", c.Num, "adbin", storedDefault(s, c))
			}
		}
	}
}

// sequenceMark begins the OID of a sequence in a stored default: pg_get_expr puts its name there as the search path
// asks.
const sequenceMark = "\x01"

// typeMark does so for a type of the schema.
const typeMark = "\x02"

func storedDefault(s *schema.Schema, c *schema.Column) string {
	if c.NextVal != 0 && c.Generated == "" {
		return "nextval('" + sequenceMark + strconv.FormatUint(uint64(c.NextVal), 10) + sequenceMark + "'::regclass)"
	}
	d := schema.DefaultDefinition(s, c, nil)
	if c.Type.Kind == types.Enum {
		if value, ok := strings.CutSuffix(d, "::"+schema.PostgresType(s, c.Type)); ok {
			return value + "::" + typeMark + strconv.FormatUint(uint64(c.Type.OID), 10) + typeMark
		}
	}
	return d
}

func vector[T int | int16 | uint32](list []T) string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = strconv.FormatInt(int64(n), 10)
	}
	return strings.Join(out, " ")
}

// array writes numbers in the storage form of arrays.
func array[T int | int16 | uint32](list []T) any {
	if list == nil {
		return nil
	}
	return "[" + strings.ReplaceAll(vector(list), " ", ",") + "]"
}

func indexes(t *table, s *schema.Schema) {
	for _, x := range sortedIndexes(s) {
		r := tableOf(s, x.Table)
		if r == nil {
			continue
		}
		var key []int16
		var collations, classes, options []uint32
		var exprs []string
		for _, ic := range x.Columns {
			key = append(key, ic.Column)
			option := uint32(0)
			if ic.Desc {
				option = 1
			}
			if ic.Nulls > 0 || ic.Desc && ic.Nulls == 0 {
				option |= 2
			}
			options = append(options, option)
			typ := expressionType(ic)
			if c := r.ColumnByNum(ic.Column); c != nil {
				typ = c.Type
			} else {
				exprs = append(exprs, ic.Expr)
			}
			coll := attributesOf(typ).collation
			collations = append(collations, coll)
			classes = append(classes, operatorClass(methodOID(x), typ, ic.OpClass))
		}
		for _, n := range x.Include {
			key = append(key, n)
		}
		var prog, pred any
		if exprs != nil {
			prog = strings.Join(exprs, ", ")
		}
		if x.Where != "" {
			pred = x.Where
		}
		t.add("indexrelid", x.OID, "indrelid", x.Table, "indnatts", len(key), "indnkeyatts", len(x.Columns),
			"indisunique", x.Unique, "indisprimary", x.Primary, "indimmediate", true, "indisvalid", true, "indisready", true,
			"indislive", true, "indkey", vector(key), "indcollation", vector(collations), "indclass", vector(classes),
			"indoption", vector(options), "indexprs", prog, "indpred", pred)
	}
}

func constraints(t *table, s *schema.Schema) {
	action := map[string]string{"": "a", "NO ACTION": "a", "RESTRICT": "r", "CASCADE": "c", "SET NULL": "n", "SET DEFAULT": "d"}
	for _, r := range s.SortedTables() {
		for _, k := range r.Constraints {
			index, ref, onUpdate, onDelete, match := k.Index, uint32(0), " ", " ", " "
			var key, refKey, bin any
			key = array(k.Columns)
			switch k.Kind {
			case schema.ForeignKey:
				ref, onUpdate, onDelete, match = k.RefTable, action[k.OnUpdate], action[k.OnDelete], "s"
				if k.Match == "FULL" {
					match = "f"
				}
				refKey = array(k.RefColumns)
				index = keyIndex(s, k)
			case schema.Check:
				bin = k.Expr
			}
			t.add("oid", k.OID, "conname", shownConstraint(r, k), "connamespace", namespaceOID(s, r.Namespace), "contype", string(rune(k.Kind)),
				"condeferrable", k.Deferrable, "condeferred", k.InitiallyDeferred, "convalidated", !k.NotValid, "conrelid", r.OID,
				"conindid", index, "confrelid", ref, "confupdtype", onUpdate, "confdeltype", onDelete, "confmatchtype", match,
				"conislocal", true, "connoinherit", k.Kind != schema.Check || k.NoInherit, "conkey", key, "confkey", refKey, "conbin", bin)
		}
	}
	for _, d := range sortedDomains(s) {
		for _, k := range d.Constraints {
			t.add("oid", k.OID, "conname", k.Name, "connamespace", namespaceOID(s, d.Namespace), "contype", "c",
				"convalidated", !k.NotValid, "contypid", d.OID, "confupdtype", " ", "confdeltype", " ", "confmatchtype", " ",
				"conislocal", true, "conbin", k.Expr)
		}
	}
}

// shownConstraint is a constraint's name; the one of a key is its index's, as in PostgreSQL.
func shownConstraint(r *schema.Table, k *schema.Constraint) string { return k.Name }

// keyIndex returns the index behind the key that a foreign key refers to.
func keyIndex(s *schema.Schema, k *schema.Constraint) uint32 {
	r := tableOf(s, k.RefTable)
	if r == nil {
		return 0
	}
	for _, o := range r.Constraints {
		if (o.Kind == schema.PrimaryKey || o.Kind == schema.Unique) && sameColumns(o.Columns, k.RefColumns) {
			return o.Index
		}
	}
	return 0
}

func sameColumns(a, b []int16) bool {
	if len(a) != len(b) {
		return false
	}
	in := map[int16]bool{}
	for _, n := range a {
		in[n] = true
	}
	for _, n := range b {
		if !in[n] {
			return false
		}
	}
	return true
}

func sequences(t *table, s *schema.Schema) {
	for _, q := range sortedSequences(s) {
		t.add("seqrelid", q.OID, "seqtypid", q.Type.PGOID(), "seqstart", q.Start, "seqincrement", q.Increment, "seqmax", q.Max,
			"seqmin", q.Min, "seqcache", q.Cache, "seqcycle", q.Cycle)
	}
}

// comments calls each for everything with a comment.
func comments(s *schema.Schema, each func(object, class uint32, sub int, text string)) {
	add := func(object, class uint32, sub int, text string) {
		if text != "" {
			each(object, class, sub, text)
		}
	}
	for _, r := range s.SortedTables() {
		add(r.OID, oidClassClass, 0, r.Comment)
		for _, c := range r.Columns {
			add(r.OID, oidClassClass, int(c.Num), c.Comment)
		}
		for _, k := range r.Constraints {
			add(k.OID, oidClassConstr, 0, k.Comment)
		}
	}
	for _, x := range sortedIndexes(s) {
		add(x.OID, oidClassClass, 0, x.Comment)
	}
	for _, q := range sortedSequences(s) {
		add(q.OID, oidClassClass, 0, q.Comment)
	}
	for _, e := range sortedEnums(s) {
		add(e.OID, oidClassType, 0, e.Comment)
	}
	for _, d := range sortedDomains(s) {
		add(d.OID, oidClassType, 0, d.Comment)
	}
	for _, n := range s.Namespaces {
		text := n.Comment
		if text == "" && n.Name == schema.Public {
			text = "standard public schema"
		}
		add(n.OID, oidClassNS, 0, text)
	}
	add(oidCatalog, oidClassNS, 0, "system catalog schema")
}

func descriptions(t *table, s *schema.Schema) {
	comments(s, func(object, class uint32, sub int, text string) {
		t.add("objoid", object, "classoid", class, "objsubid", sub, "description", text)
	})
}

func ruleOID(v *schema.Table) uint32 { return numberedOID("rule", v.OID, 0) }

func rules(t *table, s *schema.Schema) {
	for _, r := range s.SortedTables() {
		if r.View {
			t.add("oid", ruleOID(r), "rulename", "_RETURN", "ev_class", r.OID, "ev_type", "1", "ev_enabled", "O", "is_instead", true)
		}
	}
}

func dependencies(t *table, s *schema.Schema) {
	add := func(class, object uint32, sub int, refClass, ref uint32, refSub int, kind string) {
		t.add("classid", class, "objid", object, "objsubid", sub, "refclassid", refClass, "refobjid", ref, "refobjsubid", refSub, "deptype", kind)
	}
	for _, r := range s.SortedTables() {
		add(oidClassClass, r.OID, 0, oidClassNS, namespaceOID(s, r.Namespace), 0, "n")
		add(oidClassType, r.RowType, 0, oidClassClass, r.OID, 0, "i")
		if r.View {
			add(oidClassRule, ruleOID(r), 0, oidClassClass, r.OID, 0, "i")
			for _, u := range r.Uses {
				used := tableOf(s, u.Table)
				if used == nil {
					continue
				}
				sub := 0
				if c := used.Column(u.Column); c != nil {
					sub = int(c.Num)
				}
				add(oidClassRule, ruleOID(r), 0, oidClassClass, used.OID, sub, "n")
			}
			continue
		}
		for _, c := range r.Columns {
			if hasDefault(c) {
				add(oidClassDef, defaultOID(r, c), 0, oidClassClass, r.OID, int(c.Num), "a")
				if c.NextVal != 0 {
					add(oidClassDef, defaultOID(r, c), 0, oidClassClass, c.NextVal, 0, "n")
				}
			}
			if c.Domain != 0 {
				add(oidClassClass, r.OID, int(c.Num), oidClassType, c.Domain, 0, "n")
			} else if _, ok := s.ByOID[c.Type.OID].(*schema.Enum); ok {
				add(oidClassClass, r.OID, int(c.Num), oidClassType, c.Type.OID, 0, "n")
			}
		}
		for _, k := range r.Constraints {
			for _, n := range k.Columns {
				add(oidClassConstr, k.OID, 0, oidClassClass, r.OID, int(n), "a")
			}
			if k.Kind == schema.ForeignKey {
				for _, n := range k.RefColumns {
					add(oidClassConstr, k.OID, 0, oidClassClass, k.RefTable, int(n), "n")
				}
				if x := keyIndex(s, k); x != 0 {
					add(oidClassConstr, k.OID, 0, oidClassClass, x, 0, "n")
				}
			}
		}
	}
	for _, x := range sortedIndexes(s) {
		if x.Constraint != 0 {
			add(oidClassClass, x.OID, 0, oidClassConstr, x.Constraint, 0, "i")
			continue
		}
		for _, ic := range x.Columns {
			if ic.Column != 0 {
				add(oidClassClass, x.OID, 0, oidClassClass, x.Table, int(ic.Column), "a")
			}
		}
	}
	for _, q := range sortedSequences(s) {
		add(oidClassClass, q.OID, 0, oidClassNS, namespaceOID(s, q.Namespace), 0, "n")
		if q.OwnedTable != 0 {
			kind := "a"
			if q.Identity {
				kind = "i"
			}
			add(oidClassClass, q.OID, 0, oidClassClass, q.OwnedTable, int(q.OwnedColumn), kind)
		}
	}
}
