package schema

import (
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

func (w *work) comment(n *ir.CommentOn) error {
	w.res.Tag = "COMMENT"
	text := ""
	if n.Text != nil {
		text = *n.Text
	}
	switch n.Kind {
	case ir.TableObject, ir.ViewObject, ir.ColumnObject, ir.ConstraintObject, ir.MatViewObject:
		old, err := w.table(n.Name)
		if err != nil {
			return err
		}
		t := old.clone()
		switch n.Kind {
		case ir.ColumnObject:
			c := w.column(t, n.Column)
			if c == nil {
				return noColumn(t, n.Column)
			}
			c.Comment = text
		case ir.ConstraintObject:
			k := t.Constraint(n.Column)
			if k == nil {
				return sqlerr.New("42704", "constraint \"%s\" for table \"%s\" does not exist", n.Column, t.Name)
			}
			k.Comment = text
		default:
			t.Comment = text
		}
		if t.Foreign {
			return sqlerr.Unsupported("a comment on a table that another program created")
		}
		return w.put(t)
	case ir.IndexObject, ir.SequenceObject:
		o, err := w.find(n.Name)
		if err != nil {
			return err
		}
		switch o := o.(type) {
		case *Index:
			x := o.clone()
			x.Comment = text
			return w.put(x)
		case *Sequence:
			q := *o
			q.Comment = text
			return w.put(&q)
		case nil:
			return w.noTable(n.Name)
		}
		return sqlerr.New("42809", "\"%s\" is not an %s", n.Name.Name, n.Kind)
	case ir.TypeObject, ir.DomainObject:
		if e, err := w.enum(n.Name); err == nil {
			c := *e
			c.Comment = text
			return w.put(&c)
		}
		ns, err := w.namespaceOf(n.Name)
		if err != nil {
			return err
		}
		for ns := range w.s.candidates(w.env.SearchPath, ns) {
			if d := w.s.Domains[Key{ns, n.Name.Name}]; d != nil {
				c := *d
				c.Comment = text
				return w.put(&c)
			}
		}
		return sqlerr.New("42704", "type \"%s\" does not exist", written(n.Name))
	case ir.SchemaObject:
		ns := w.s.Namespace(n.Name.Name)
		if ns == nil {
			return noNamespace(n.Name.Name)
		}
		c := *ns
		c.Comment = text
		return w.put(&c)
	case ir.ExtensionObject, ir.DatabaseObject, ir.RoleObject:
		// pg_dump comments on what it finds; these belong to the server, not to the database's schema.
		w.notice(sqlerr.New("01000", "comments on a %s are not kept", n.Kind))
		return nil
	}
	return sqlerr.Unsupported("COMMENT ON " + string(n.Kind))
}
