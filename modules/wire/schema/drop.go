package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

func (w *work) drop(n *ir.Drop) error {
	w.res.Tag = "DROP " + strings.ToUpper(string(n.Kind))
	if n.Kind == ir.IndexObject && n.Table != nil {
		return w.dropTableIndex(n)
	}
	switch n.Kind {
	case ir.SchemaObject:
		return w.dropSchemas(n)
	case ir.ExtensionObject:
		return w.dropExtensions(n)
	}
	// What is dropped together doesn't stand in each other's way.
	d := &dropping{w: w, cascade: n.Cascade || w.mysql, gone: map[uint32]bool{}}
	var objects []any
	var missing []string
	for _, name := range n.Names {
		o, err := w.findToDrop(n, name)
		if err != nil {
			return err
		}
		if o == nil {
			if n.IfExists {
				w.noticeMissing(n.Kind, name)
				continue
			}
			if w.mysql {
				missing = append(missing, w.env.Database+"."+name.Name)
				continue
			}
			return w.missing(n.Kind, name)
		}
		objects = append(objects, o)
		d.gone[oidOf(o)] = true
	}
	if len(missing) > 0 {
		return sqlerr.New("42P01", "table \"%s\" does not exist", missing[0]).My(1051, "Unknown table '%s'", strings.Join(missing, ","))
	}
	for _, o := range objects {
		if err := d.drop(o); err != nil {
			return err
		}
	}
	return d.report()
}

func oidOf(o any) uint32 {
	switch o := o.(type) {
	case *Table:
		return o.OID
	case *Index:
		return o.OID
	case *Sequence:
		return o.OID
	case *Enum:
		return o.OID
	case *Domain:
		return o.OID
	case *Constraint:
		return o.OID
	}
	return 0
}

// findToDrop returns the object of the statement's kind, nil if there is none of the name.
func (w *work) findToDrop(n *ir.Drop, name ir.Name) (any, error) {
	ns, err := w.namespaceOf(name)
	if err != nil {
		return nil, err
	}
	if ns != "" && ns != TempNamespace && w.s.Namespace(ns) == nil {
		if n.IfExists {
			return nil, nil
		}
		return nil, noNamespace(ns)
	}
	switch n.Kind {
	case ir.TypeObject, ir.DomainObject:
		for ns := range w.s.candidates(w.env.SearchPath, ns) {
			key := Key{ns, name.Name}
			if e := w.s.Enums[key]; e != nil && e.Table == 0 {
				if n.Kind == ir.DomainObject {
					return nil, sqlerr.New("42809", "\"%s\" is not a domain", name.Name)
				}
				return e, nil
			}
			if d := w.s.Domains[key]; d != nil {
				return d, nil
			}
		}
		return nil, nil
	case ir.TableObject, ir.ViewObject, ir.IndexObject, ir.SequenceObject, ir.MatViewObject:
	case ir.FunctionObject, ir.TriggerObject:
		return nil, nil // there are none
	default:
		return nil, sqlerr.Unsupported("DROP " + strings.ToUpper(string(n.Kind)))
	}
	o, err := w.find(name)
	if err != nil || o == nil {
		return nil, err
	}
	if t, ok := o.(*Table); ok && n.Temp && !t.Temp {
		return nil, nil
	}
	kind := ir.ObjectKind("")
	switch o := o.(type) {
	case *Table:
		kind = ir.TableObject
		if o.View {
			kind = ir.ViewObject
		}
	case *Index:
		kind = ir.IndexObject
	case *Sequence:
		kind = ir.SequenceObject
	}
	if kind == n.Kind {
		return o, nil
	}
	if w.mysql {
		if n.Kind == ir.ViewObject {
			return nil, sqlerr.New("42809", "\"%s\" is not a view", name.Name).My(1347, "'%s.%s' is not VIEW", w.env.Database, name.Name)
		}
		return nil, nil // DROP TABLE doesn't see views
	}
	article := "a"
	if n.Kind == ir.IndexObject {
		article = "an"
	}
	return nil, sqlerr.New("42809", "\"%s\" is not %s %s", name.Name, article, n.Kind).
		WithHint("Use DROP %s to remove %s %s.", strings.ToUpper(string(kind)), map[bool]string{true: "an", false: "a"}[kind == ir.IndexObject], kind)
}

func (w *work) missing(kind ir.ObjectKind, name ir.Name) *sqlerr.Error {
	e := sqlerr.New("42704", "%s \"%s\" does not exist", kind, written(name))
	switch kind {
	case ir.TableObject, ir.ViewObject, ir.SequenceObject:
		e.State = "42P01"
	}
	return e.My(1051, "Unknown table '%s.%s'", w.env.Database, name.Name)
}

func (w *work) noticeMissing(kind ir.ObjectKind, name ir.Name) {
	if name.Schema != "" && !w.mysql && w.s.Namespace(name.Schema) == nil && name.Schema != TempNamespace {
		w.notice(sqlerr.New("00000", "schema \"%s\" does not exist, skipping", name.Schema))
		return
	}
	w.notice(sqlerr.New("00000", "%s \"%s\" does not exist, skipping", kind, name.Name).
		My(1051, "Unknown table '%s.%s'", w.env.Database, name.Name))
}

func (d *dropping) drop(o any) error {
	switch o := o.(type) {
	case *Table:
		if o.View {
			return d.view(o)
		}
		return d.table(o)
	case *Index:
		return d.index(o)
	case *Sequence:
		return d.sequence(o)
	case *Enum:
		return d.enum(o)
	case *Domain:
		return d.domain(o)
	}
	return fmt.Errorf("can't drop %T", o)
}

// dropTableIndex is MySQL's DROP INDEX i ON t.
func (w *work) dropTableIndex(n *ir.Drop) error {
	t, err := w.table(*n.Table)
	if err != nil {
		return err
	}
	t = t.clone()
	for _, name := range n.Names {
		if strings.EqualFold(name.Name, "primary") {
			if pk := t.PrimaryKey(); pk != nil {
				if err := w.dropConstraint(t, pk); err != nil {
					return err
				}
				t = w.s.Tables[t.Key()].clone()
				continue
			}
		}
		x := w.tableIndex(t, name.Name)
		if x == nil {
			if n.IfExists {
				w.notice(sqlerr.New("42704", "index \"%s\" does not exist, skipping", name.Name))
				continue
			}
			return sqlerr.New("42704", "index \"%s\" does not exist", name.Name).
				My(1091, "Can't DROP '%s'; check that column/key exists", name.Name)
		}
		if err := w.dropMySQLIndex(t, x); err != nil {
			return err
		}
		t = w.s.Tables[t.Key()].clone()
	}
	return nil
}

// dropMySQLIndex drops an index with the constraint that it is.
func (w *work) dropMySQLIndex(t *Table, x *Index) error {
	if x.Constraint != 0 {
		for _, k := range t.Constraints {
			if k.OID == x.Constraint {
				return w.dropConstraint(t, k)
			}
		}
	}
	return w.dropIndex(x)
}

// dropIndex removes an index.
func (w *work) dropIndex(x *Index) error {
	if x.SQLName != "" {
		t, _ := w.s.ByOID[x.Table].(*Table)
		if err := exec(w.c, "DROP INDEX "+dbNames[dbOf(t != nil && t.Temp)]+"."+quote(x.SQLName)); err != nil {
			return err
		}
		w.dirty[dbOf(t != nil && t.Temp)] = true
	}
	return w.remove(x)
}

// dropSchemas is DROP SCHEMA.
func (w *work) dropSchemas(n *ir.Drop) error {
	for _, name := range n.Names {
		ns := w.s.Namespace(name.Name)
		if ns == nil || name.Name == TempNamespace {
			if n.IfExists {
				w.notice(sqlerr.New("00000", "schema \"%s\" does not exist, skipping", name.Name))
				continue
			}
			return noNamespace(name.Name)
		}
		d := &dropping{w: w, cascade: n.Cascade, gone: map[uint32]bool{}}
		var objects []any
		for _, t := range w.s.SortedTables() {
			if t.Namespace == ns.Name {
				objects = append(objects, t)
			}
		}
		for _, q := range w.s.Sequences {
			if q.Namespace == ns.Name && q.OwnedTable == 0 {
				objects = append(objects, q)
			}
		}
		for _, e := range w.s.Enums {
			if e.Namespace == ns.Name && e.Table == 0 {
				objects = append(objects, e)
			}
		}
		for _, o := range w.s.Domains {
			if o.Namespace == ns.Name {
				objects = append(objects, o)
			}
		}
		for _, o := range objects {
			d.depends(describe(o), "schema "+quoteIdent(ns.Name))
			d.gone[oidOf(o)] = true
		}
		if len(d.blocked) == 0 {
			// Views first: they may read tables that come before them in the list.
			for _, views := range []bool{true, false} {
				for _, o := range objects {
					t, ok := o.(*Table)
					if (ok && t.View) != views {
						continue
					}
					if w.s.ByOID[oidOf(o)] == nil {
						continue
					}
					if err := d.drop(o); err != nil {
						return err
					}
				}
			}
		}
		if err := d.report(); err != nil {
			return err
		}
		old := *ns
		w.s.Namespaces = slices.DeleteFunc(w.s.Namespaces, func(n Namespace) bool { return n.Name == old.Name })
		if old.Name == Public {
			def, err := encode(namespaceRecord{Namespace: &Namespace{Owner: old.Owner}, Dropped: true})
			if err != nil {
				return err
			}
			if err := w.writeRow(mainDB, publicOID, kindNamespace, "", Public, def); err != nil {
				return err
			}
			continue
		}
		if err := w.deleteRow(mainDB, old.OID); err != nil {
			return err
		}
	}
	return nil
}
