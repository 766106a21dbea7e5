package schema

import (
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

func (w *work) createEnum(n *ir.CreateEnum) error {
	w.res.Tag = "CREATE TYPE"
	ns, err := w.createIn(n.Name, false)
	if err != nil {
		return err
	}
	if err := w.checkNewType(ns, n.Name.Name); err != nil {
		return err
	}
	e := &Enum{Namespace: ns, Name: n.Name.Name, Owner: w.env.User, Labels: slices.Clone(n.Labels)}
	for i, l := range n.Labels {
		if err := checkLabel(l); err != nil {
			return err
		}
		if slices.Contains(n.Labels[:i], l) {
			return sqlerr.New("42710", "enum label \"%s\" used more than once", l)
		}
	}
	if e.OID, err = w.newOID(mainDB); err != nil {
		return err
	}
	if e.ArrayOID, err = w.newOID(mainDB); err != nil {
		return err
	}
	return w.put(e)
}

// checkNewType says whether a type may take a name.
func (w *work) checkNewType(ns, name string) error {
	if w.s.typeTaken(ns, name) {
		return sqlerr.New("42710", "type \"%s\" already exists", name)
	}
	if _, ok := types.BuiltinByName(name); ok && ns == Public && w.s.Enums[Key{ns, name}] == nil {
		return nil // as in PostgreSQL: the builtin one hides it unless it is qualified
	}
	return nil
}

func checkLabel(l string) error {
	if l == "" || len(l) > maxName {
		return sqlerr.New("42602", "invalid enum label \"%s\"", l).WithHint("Labels must be 1 to %d bytes long.", maxName)
	}
	return nil
}

// enum looks for an enum that CREATE TYPE made.
func (w *work) enum(n ir.Name) (*Enum, error) {
	ns, err := w.namespaceOf(n)
	if err != nil {
		return nil, err
	}
	for ns := range w.s.candidates(w.env.SearchPath, ns) {
		if e := w.s.Enums[Key{ns, n.Name}]; e != nil && e.Table == 0 {
			return e, nil
		}
	}
	return nil, sqlerr.New("42704", "type \"%s\" does not exist", written(n)).At(n.Pos)
}

func (w *work) alterEnum(n *ir.AlterEnum) error {
	w.res.Tag = "ALTER TYPE"
	old, err := w.enum(n.Name)
	if err != nil {
		return err
	}
	e := *old
	e.Labels = slices.Clone(old.Labels)
	switch {
	case n.NewName != "":
		if w.s.typeTaken(e.Namespace, n.NewName) {
			return sqlerr.New("42710", "type \"%s\" already exists", n.NewName)
		}
		w.forget(old)
		e.Name = n.NewName
		if err := w.put(&e); err != nil {
			return err
		}
		return w.redeclare(func(c *Column) bool { return c.Type.OID == e.OID || c.Type.OID == e.ArrayOID })
	case n.RenameFrom != "":
		i := slices.Index(e.Labels, n.RenameFrom)
		if i < 0 {
			return sqlerr.New("22023", "\"%s\" is not an existing enum label", n.RenameFrom)
		}
		if slices.Contains(e.Labels, n.RenameTo) {
			return sqlerr.New("42710", "enum label \"%s\" already exists", n.RenameTo)
		}
		if err := checkLabel(n.RenameTo); err != nil {
			return err
		}
		e.Labels[i] = n.RenameTo
		return w.relabel(&e, n.RenameFrom, n.RenameTo)
	}
	if err := checkLabel(n.Add); err != nil {
		return err
	}
	if slices.Contains(e.Labels, n.Add) {
		if n.IfNotExists {
			w.notice(sqlerr.New("42710", "enum label \"%s\" already exists, skipping", n.Add))
			return nil
		}
		return sqlerr.New("42710", "enum label \"%s\" already exists", n.Add)
	}
	at := len(e.Labels)
	if beside := n.Before + n.After; beside != "" {
		if at = slices.Index(e.Labels, beside); at < 0 {
			return sqlerr.New("22023", "\"%s\" is not an existing enum label", beside)
		}
		if n.After != "" {
			at++
		}
	}
	e.Labels = slices.Insert(e.Labels, at, n.Add)
	return w.relabel(&e, "", "")
}

// relabel stores an enum with other labels and brings the checks of its columns up to date. Rows with the label from
// get the label to.
func (w *work) relabel(e *Enum, from, to string) error {
	if err := w.put(e); err != nil {
		return err
	}
	for _, t := range w.s.SortedTables() {
		if t.View {
			continue
		}
		var cols []*Column
		for _, c := range t.Columns {
			if c.Type.Kind == types.Enum && c.Type.OID == e.OID {
				cols = append(cols, c)
			}
		}
		if len(cols) == 0 {
			continue
		}
		if err := w.rewriteSQL(t); err != nil {
			return err
		}
		for _, c := range cols {
			if from == "" {
				continue
			}
			if err := exec(w.c, "UPDATE "+quote(t.SQLName)+" SET "+quote(c.Name)+" = ?2 WHERE "+quote(c.Name)+" = ?1", from, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// redeclare writes the declared types of columns anew after their type got another name.
func (w *work) redeclare(uses func(*Column) bool) error {
	for _, t := range w.s.SortedTables() {
		if !slices.ContainsFunc(t.Columns, uses) {
			continue
		}
		n := t.clone()
		for _, c := range n.Columns {
			if !uses(c) {
				continue
			}
			if d, ok := w.s.ByOID[c.Domain].(*Domain); ok {
				c.Declared = w.typeName(d.Namespace, d.Name)
			} else {
				c.Declared = PostgresType(w.s, c.Type)
			}
		}
		if err := w.put(n); err != nil {
			return err
		}
	}
	return nil
}

// domainText writes VALUE as PostgreSQL does.
func domainText(expr string) string {
	var b strings.Builder
	last := 0
	for _, t := range tokens(expr) {
		if t.kind == 'i' && t.name == "value" {
			b.WriteString(expr[last:t.start] + "VALUE")
			last = t.end
		}
	}
	return b.String() + expr[last:]
}

func (w *work) createDomain(n *ir.CreateDomain) error {
	w.res.Tag = "CREATE DOMAIN"
	ns, err := w.createIn(n.Name, false)
	if err != nil {
		return err
	}
	if err := w.checkNewType(ns, n.Name.Name); err != nil {
		return err
	}
	base, declared, parent, err := w.resolveType(n.Type)
	if err != nil {
		return err
	}
	d := &Domain{Namespace: ns, Name: n.Name.Name, Owner: w.env.User, Base: base, Declared: declared, NotNull: n.NotNull}
	if d.OID, err = w.newOID(mainDB); err != nil {
		return err
	}
	if d.ArrayOID, err = w.newOID(mainDB); err != nil {
		return err
	}
	if parent != nil {
		// A domain over a domain has its constraints too.
		for _, k := range parent.Constraints {
			d.Constraints = append(d.Constraints, k.clone())
		}
		d.NotNull = d.NotNull || parent.NotNull
		d.Declared = parent.Declared
	}
	value := &Column{Num: 1, Name: "value", Type: base, Declared: declared, Dialect: w.dialect.String()}
	if n.Default != nil {
		if err := w.setDefault(value, n.Default, n.DefaultText); err != nil {
			return err
		}
		d.Default, d.DefaultSQL = value.Default, value.DefaultSQL
	}
	scope := &Table{Namespace: ns, Name: d.Name, Columns: []*Column{value}}
	for i := range n.Constraints {
		c := &n.Constraints[i]
		if c.Kind != ir.Check {
			return sqlerr.New("42601", "only checks are possible for domains")
		}
		k := &Constraint{Kind: Check, Name: c.Name, Expr: domainText(w.format(scope, c.Expr, c.Text)), NotValid: c.NotValid, Dialect: w.dialect.String()}
		if k.Name == "" {
			k.Name = freeName(d.Name, "", "check", func(s string) bool {
				return slices.ContainsFunc(d.Constraints, func(o *Constraint) bool { return o.Name == s })
			})
		}
		if k.OID, err = w.newOID(mainDB); err != nil {
			return err
		}
		if k.ExprSQL, _, err = w.expr(c.Expr, scope, nil); err != nil {
			return err
		}
		d.Constraints = append(d.Constraints, k)
	}
	return w.put(d)
}

// alterType is ALTER TYPE and ALTER DOMAIN as far as they rename, move or give away.
func (w *work) alterType(n *ir.AlterTable) error {
	ns, err := w.namespaceOf(n.Name)
	if err != nil {
		return err
	}
	var o any
	for ns := range w.s.candidates(w.env.SearchPath, ns) {
		key := Key{ns, n.Name.Name}
		if e := w.s.Enums[key]; e != nil && e.Table == 0 {
			c := *e
			o = &c
		} else if d := w.s.Domains[key]; d != nil {
			c := *d
			o = &c
		}
		if o != nil {
			break
		}
	}
	if o == nil {
		return sqlerr.New("42704", "type \"%s\" does not exist", written(n.Name)).At(n.Name.Pos)
	}
	for i := range n.Actions {
		act := &n.Actions[i]
		var namespace, name, owner *string
		switch t := o.(type) {
		case *Enum:
			namespace, name, owner = &t.Namespace, &t.Name, &t.Owner
		case *Domain:
			namespace, name, owner = &t.Namespace, &t.Name, &t.Owner
		}
		newNamespace, newName := *namespace, *name
		switch act.Kind {
		case ir.SetOwner:
			*owner = act.Name
		case ir.SetSchema:
			if w.s.Namespace(act.Name) == nil {
				return noNamespace(act.Name)
			}
			newNamespace = act.Name
		case ir.RenameTable:
			newName = act.NewName
		default:
			return sqlerr.Unsupported("this action of ALTER " + n.Kind)
		}
		moved := newNamespace != *namespace || newName != *name
		if moved && w.s.typeTaken(newNamespace, newName) {
			return sqlerr.New("42710", "type \"%s\" already exists", newName)
		}
		w.forget(o)
		*namespace, *name = newNamespace, newName
		if err := w.put(o); err != nil {
			return err
		}
		if !moved {
			continue
		}
		err := w.redeclare(func(c *Column) bool {
			switch t := o.(type) {
			case *Enum:
				return c.Type.OID == t.OID || c.Type.OID == t.ArrayOID
			case *Domain:
				return c.Domain == t.OID
			}
			return false
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// alterNamespace is ALTER SCHEMA.
func (w *work) alterNamespace(n *ir.AlterTable) error {
	ns := w.s.Namespace(n.Name.Name)
	if ns == nil {
		return noNamespace(n.Name.Name)
	}
	for i := range n.Actions {
		switch act := &n.Actions[i]; act.Kind {
		case ir.SetOwner:
			c := *w.s.Namespace(n.Name.Name)
			c.Owner = act.Name
			if err := w.put(&c); err != nil {
				return err
			}
		default:
			// Every table of it would get another name in SQLite, and every view that reads one.
			return sqlerr.Unsupported("ALTER SCHEMA RENAME")
		}
	}
	return nil
}

func (w *work) createSchema(n *ir.CreateSchema) error {
	w.res.Tag = "CREATE SCHEMA"
	if strings.HasPrefix(n.Name, "pg_") {
		e := sqlerr.New("42939", "unacceptable schema name \"%s\"", n.Name)
		e.Detail = "The prefix \"pg_\" is reserved for system schemas."
		return e
	}
	if hidden(n.Name) || strings.Contains(n.Name, ".") || n.Name == "" {
		return sqlerr.New("42939", "unacceptable schema name \"%s\"", n.Name)
	}
	if w.s.Namespace(n.Name) != nil || n.Name == "information_schema" {
		if n.IfNotExists {
			w.notice(sqlerr.New("42P06", "schema \"%s\" already exists, skipping", n.Name))
			return nil
		}
		return sqlerr.New("42P06", "schema \"%s\" already exists", n.Name)
	}
	ns := &Namespace{OID: publicOID, Name: n.Name, Owner: n.Owner}
	if ns.Owner == "" {
		ns.Owner = w.env.User
	}
	if n.Name != Public {
		var err error
		if ns.OID, err = w.newOID(mainDB); err != nil {
			return err
		}
	}
	return w.put(ns)
}

// knownExtensions are those whose functions are built in.
var knownExtensions = map[string]bool{"plpgsql": true, "pgcrypto": true, "uuid-ossp": true}

// KnownExtensions returns the names that CREATE EXTENSION accepts, in order: those whose functions are built in.
func KnownExtensions() []string {
	var out []string
	for n := range knownExtensions {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

func (w *work) createExtension(n *ir.CreateExtension) error {
	w.res.Tag = "CREATE EXTENSION"
	if !knownExtensions[n.Name] {
		return sqlerr.New("0A000", "extension \"%s\" is not available", n.Name).
			WithHint("Built in are: %s.", strings.Join(KnownExtensions(), ", "))
	}
	if w.s.Extensions[n.Name] != 0 || n.Name == "plpgsql" {
		if !n.IfNotExists {
			return sqlerr.New("42710", "extension \"%s\" already exists", n.Name)
		}
		w.notice(sqlerr.New("42710", "extension \"%s\" already exists, skipping", n.Name))
		return nil
	}
	oid, err := w.newOID(mainDB)
	if err != nil {
		return err
	}
	return w.writeRow(mainDB, oid, kindExtension, "", n.Name, "{}")
}

// dropExtensions is DROP EXTENSION. The functions stay: they are built in.
func (w *work) dropExtensions(n *ir.Drop) error {
	for _, name := range n.Names {
		oid := w.s.Extensions[name.Name]
		if oid == 0 {
			if n.IfExists {
				w.noticeMissing(n.Kind, name)
				continue
			}
			return w.missing(n.Kind, name)
		}
		if err := w.deleteRow(mainDB, oid); err != nil {
			return err
		}
	}
	return nil
}
