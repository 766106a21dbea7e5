package spec

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// decoder fills the model from nodes by the tags of its fields:
//
//	yaml     the key; "-" for fields that aren't in files
//	enum     the values, with | between them
//	min, max the bounds of a number
//	default  what Resolve puts in if the field is zero
//	off      what a written 0 is kept as, where 0 means something else than "not said"
//	name     "true": the text has to be a valid name
//	one      "true": a list of text that can be written as one text
//	expand   "true": ${VAR} is replaced by Resolve
//	live     "true": a change needs no restart
//	loose    "true": text that can be written as a number
type decoder struct {
	faults
	// compose reads what process-compose reads: unknown keys are notes, yes and no are booleans, and numbers can be
	// text.
	compose bool
	strict  bool                // with compose: unknown keys are faults
	lookup  func(string) string // with compose: replaces $VAR in numbers and booleans
	notes   []Note
	where   map[string]pos
}

// field is a field of the model that is in files.
type field struct {
	key   string
	index int
	tag   reflect.StructTag
}

func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		if key := tag.Get("yaml"); key != "" && key != "-" {
			all = append(all, field{key, i, tag})
		}
	}
	return all
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (d *decoder) note(at pos, path, format string, args ...any) {
	n := Note{Line: abs(at.line), Column: at.col, Path: path, Message: fmt.Sprintf(format, args...)}
	if at.src != nil {
		n.File = at.src.name
	}
	d.notes = append(d.notes, n)
}

func (d *decoder) wrong(n *node, path, want string) {
	got := nodeKindNames[n.kind]
	hint := ""
	if n.kind == scalarNode {
		got = "a value of another type"
		if !n.quoted && isNumber(n.text) {
			got = "a number"
		} else if !n.quoted && isBool(n.text) {
			got = "a boolean"
		}
		if strings.HasPrefix(want, "text") && !n.quoted {
			hint = "put it in quotes"
		}
	}
	d.add(n.at, path, hint, "want %s, got %s", want, got)
}

// value decodes n into v. A null leaves v as it is.
func (d *decoder) value(n *node, path string, v reflect.Value, tag reflect.StructTag) {
	if d.full() {
		return
	}
	if path != "" {
		if _, ok := d.where[path]; !ok {
			d.where[path] = n.at
		}
	}
	if n.kind == nullNode {
		return
	}
	if form, ok := forms[v.Type()]; ok && form.decode != nil {
		form.decode(d, n, path, v, tag)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, path, v.Elem(), tag)
	case reflect.Struct:
		d.structure(n, path, v)
	case reflect.Slice:
		d.slice(n, path, v, tag)
	case reflect.Map:
		d.texts(n, path, v)
	case reflect.String:
		d.text(n, path, v, tag)
	case reflect.Bool:
		if b, ok := d.boolean(n, path); ok {
			v.SetBool(b)
		}
	case reflect.Int, reflect.Int64, reflect.Float64:
		d.number(n, path, v, tag)
	default:
		panic("spec: the model has a field of a kind that the decoder doesn't know: " + v.Type().String())
	}
}

func (d *decoder) structure(n *node, path string, v reflect.Value) {
	if n.kind != dictNode {
		d.wrong(n, path, "a map")
		return
	}
	fields := fieldsOf(v.Type())
	for _, e := range n.entries {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == e.name })
		if i < 0 {
			d.unknown(e, path, fields)
			continue
		}
		key := join(path, e.name)
		d.where[key] = e.value.at
		if e.value.kind == nullNode {
			d.where[key] = e.at
		}
		d.value(e.value, key, v.Field(fields[i].index), fields[i].tag)
	}
}

func (d *decoder) unknown(e entry, path string, fields []field) {
	known := make([]string, len(fields))
	for i := range fields {
		known[i] = fields[i].key
	}
	at := e.at
	at.line = abs(at.line)
	hint := meant(e.name, known)
	switch {
	case d.compose && strings.HasPrefix(e.name, "x-"):
	case d.compose && slices.Contains(composeOnly, e.name):
		d.note(at, join(path, e.name), "not supported")
	case d.compose && !d.strict:
		if hint != "" {
			hint = ": " + hint
		}
		d.note(at, join(path, e.name), "unknown key%s", hint)
	default:
		if hint == "" {
			slices.Sort(known)
			hint = "known are " + strings.Join(known, ", ")
			if len(hint) > 300 {
				hint = ""
			}
		}
		d.add(at, join(path, e.name), hint, "unknown key %s", strconv.Quote(short(e.name)))
	}
}

func (d *decoder) slice(n *node, path string, v reflect.Value, tag reflect.StructTag) {
	items := n.items
	if n.kind == scalarNode && tag.Get("one") != "" {
		items = []*node{n}
	} else if n.kind != listNode {
		d.wrong(n, path, "a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if item.kind == nullNode {
			d.add(item.at, at, "", "there is nothing here")
			continue
		}
		if v.Type().Elem().Kind() == reflect.String && tag.Get("enum") == "" {
			if s, ok := d.scalar(item, at); ok {
				v.Index(i).SetString(s)
			}
			continue
		}
		d.value(item, at, v.Index(i), tag)
	}
}

// texts decodes a map of text. Numbers and booleans are taken as they are written.
func (d *decoder) texts(n *node, path string, v reflect.Value) {
	if n.kind != dictNode {
		d.wrong(n, path, "a map")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range n.entries {
		if s, ok := d.scalar(e.value, join(path, e.name)); ok {
			v.SetMapIndex(reflect.ValueOf(e.name), reflect.ValueOf(s))
		}
	}
}

// scalar is a scalar's text as it is written.
func (d *decoder) scalar(n *node, path string) (string, bool) {
	d.where[path] = n.at
	switch {
	case n.kind == nullNode:
		return "", true
	case n.kind != scalarNode:
		d.wrong(n, path, "text")
		return "", false
	case strings.IndexByte(n.text, 0) >= 0:
		d.add(n.at, path, "", "the text holds a zero byte")
		return "", false
	}
	return n.text, true
}

func (d *decoder) text(n *node, path string, v reflect.Value, tag reflect.StructTag) {
	enum := tag.Get("enum")
	if n.kind != scalarNode || !d.compose && enum == "" && tag.Get("loose") == "" && !n.quoted && (isNumber(n.text) || isBool(n.text)) {
		d.wrong(n, path, "text")
		return
	}
	s, ok := d.scalar(n, path)
	if !ok {
		return
	}
	if enum != "" {
		values := strings.Split(enum, "|")
		if !slices.Contains(values, s) {
			hint := meant(s, values)
			if hint == "" {
				hint = "one of " + strings.Join(values, ", ")
			}
			d.add(n.at, path, hint, "%s isn't possible here", strconv.Quote(short(s)))
			return
		}
	}
	if tag.Get("name") != "" && !validName(s) {
		d.add(n.at, path, nameHint, "%s isn't a name", strconv.Quote(short(s)))
		return
	}
	v.SetString(s)
}

func short(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "..."
	}
	return s
}

const nameHint = `letters, digits, "_", "." and "-", at most 63`

func validName(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-') {
			return false
		}
	}
	return s != "." && s != ".."
}

func isBool(s string) bool {
	switch s {
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return true
	}
	return false
}

// isNumber follows the core schema of YAML 1.2, where 010 is ten and 1_000 is text.
func isNumber(s string) bool {
	if _, ok := parseInt(s); ok {
		return true
	}
	if s == "" || strings.ContainsAny(s, "_xXpPiInN") {
		return false
	}
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

func parseInt(s string) (int64, bool) {
	base, digits := 10, s
	switch {
	case strings.HasPrefix(s, "0x"):
		base, digits = 16, s[2:]
	case strings.HasPrefix(s, "0o"):
		base, digits = 8, s[2:]
	}
	i, err := strconv.ParseInt(digits, base, 64)
	return i, err == nil && (base == 10 || digits[0] != '-' && digits[0] != '+')
}

func (d *decoder) boolean(n *node, path string) (bool, bool) {
	text := d.expanded(n)
	if n.kind == scalarNode && (!n.quoted || d.compose) {
		switch {
		case isBool(text):
			return text[0] == 't' || text[0] == 'T', true
		case d.compose && slices.Contains([]string{"yes", "Yes", "YES", "on", "On", "ON", "y", "Y"}, text):
			return true, true
		case d.compose && slices.Contains([]string{"no", "No", "NO", "off", "Off", "OFF", "n", "N"}, text):
			return false, true
		}
	}
	if n.kind != scalarNode {
		d.wrong(n, path, "true or false")
		return false, false
	}
	d.add(n.at, path, "write true or false, without quotes", "want true or false, got %s", strconv.Quote(short(text)))
	return false, false
}

// expanded is the text of a scalar that isn't text in the end, with $VAR replaced if process-compose does.
func (d *decoder) expanded(n *node) string {
	if d.compose && d.lookup != nil && strings.Contains(n.text, "$") {
		return expandShell(n.text, d.lookup)
	}
	return n.text
}

func (d *decoder) number(n *node, path string, v reflect.Value, tag reflect.StructTag) {
	text := d.expanded(n)
	if n.kind != scalarNode || n.quoted && !d.compose {
		d.wrong(n, path, "a number")
		return
	}
	if v.Kind() == reflect.Float64 {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || !isNumber(text) {
			d.wrong(n, path, "a number")
			return
		}
		if checkBounds(d, n, path, f, tag) {
			v.SetFloat(f)
		}
	} else {
		i, ok := parseInt(text)
		if !ok {
			d.wrong(n, path, "a whole number")
			return
		}
		if checkBounds(d, n, path, float64(i), tag) {
			v.SetInt(i)
		}
	}
	d.off(v, tag)
}

// off keeps a written 0 apart from nothing written.
func (d *decoder) off(v reflect.Value, tag reflect.StructTag) {
	if tag.Get("off") == "" || !v.IsZero() {
		return
	}
	if v.Kind() == reflect.Float64 {
		v.SetFloat(-1)
	} else {
		v.SetInt(-1)
	}
}

func checkBounds(d *decoder, n *node, path string, f float64, tag reflect.StructTag) bool {
	if s := tag.Get("min"); s != "" {
		if low, _ := strconv.ParseFloat(s, 64); f < low {
			d.add(n.at, path, "", "%s is less than %s", short(n.text), s)
			return false
		}
	}
	if s := tag.Get("max"); s != "" {
		if high, _ := strconv.ParseFloat(s, 64); f > high {
			d.add(n.at, path, "", "%s is more than %s", short(n.text), s)
			return false
		}
	}
	return true
}
