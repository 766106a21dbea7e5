package spec

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// form is how a type is written in a file, where the kind of the Go type doesn't say it.
type form struct {
	decode func(d *decoder, n *node, path string, v reflect.Value, tag reflect.StructTag)
	// schema is the JSON schema; self is the one of the type's fields, nil if it isn't a struct.
	schema func(b *schemaBuilder, self map[string]any) map[string]any
	// encode returns what the JSON form has.
	encode func(v reflect.Value) any
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// forms is filled by init because decoders use the table themselves.
var forms map[reflect.Type]form

func init() {
	forms = map[reflect.Type]form{
		typeOf[time.Duration](): {decodeDuration, durationSchema, func(v reflect.Value) any { return FormatDuration(time.Duration(v.Int())) }},
		typeOf[Size]():          {decodeSize, sizeSchema, func(v reflect.Value) any { return Size(v.Int()).String() }},
		typeOf[Command]():       {decodeCommand, commandSchema, encodeCommand},
		typeOf[Env]():           {decodeEnv, envSchema, encodeEnv},
		typeOf[Secrets]():       {decodeSecrets, secretsSchema, encodeSecrets},
		typeOf[Processes]():     {decodeProcesses, processesSchema, encodeProcesses},
		typeOf[Ports]():         {decodePorts, portsSchema, nil},
		typeOf[Dependencies]():  {decodeDependencies, dependenciesSchema, nil},
		typeOf[HTTPProbe]():     shorthand("URL"),
		typeOf[Schedule]():      shorthand("Cron"),
		typeOf[Restart]():       shorthand("Policy"),

		typeOf[composeProcesses]():    {decode: decodeComposeProcesses},
		typeOf[composeDependencies](): {decode: decodeComposeDependencies},
	}
}

// shorthand is a struct that can be written as the text of one of its fields.
func shorthand(name string) form {
	return form{
		decode: func(d *decoder, n *node, path string, v reflect.Value, _ reflect.StructTag) {
			if n.kind == scalarNode {
				f, _ := v.Type().FieldByName(name)
				d.text(n, path, v.FieldByName(name), f.Tag)
				return
			}
			d.structure(n, path, v)
		},
		schema: func(b *schemaBuilder, self map[string]any) map[string]any {
			f, _ := b.current.FieldByName(name)
			return map[string]any{"anyOf": []any{b.of(f.Type, f.Tag), self}}
		},
	}
}

// FormatDuration is the shortest text that ParseDuration of package time reads: 1m30s, 168h.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func decodeDuration(d *decoder, n *node, path string, v reflect.Value, tag reflect.StructTag) {
	const want = `a duration such as "10s" or "1m30s"`
	if n.kind != scalarNode {
		d.wrong(n, path, want)
		return
	}
	t, err := time.ParseDuration(n.text)
	switch {
	case err != nil && isNumber(n.text):
		d.add(n.at, path, fmt.Sprintf("write %ss for seconds", short(n.text)), "want %s, got a number without a unit", want)
	case err != nil:
		d.add(n.at, path, "units are ms, s, m and h", "want %s, got %s", want, strconv.Quote(short(n.text)))
	case t < 0:
		d.add(n.at, path, "", "a duration can't be less than 0")
	default:
		v.SetInt(int64(t))
		d.off(v, tag)
	}
}

// Size is a number of bytes. In a file: "64MiB", "1.5GB", or a number of bytes.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3},
	{"T", 1 << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"k", 1 << 10}, {"B", 1},
}

// String is the size in the largest unit of 1024 that it is a whole number of, else in bytes.
func (s Size) String() string {
	for _, u := range sizeUnits[:4] {
		if s > 0 && int64(s)%u.bytes == 0 {
			return fmt.Sprintf("%d%s", int64(s)/u.bytes, u.name)
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// ParseSize reads a size: a number and one of B, KiB, MiB, GiB, TiB (1024), K, M, G, T (the same), kB, MB, GB, TB (1000).
func ParseSize(text string) (Size, error) {
	text = strings.TrimSpace(text)
	unit := int64(1)
	number := text
	for _, u := range sizeUnits {
		if strings.HasSuffix(text, u.name) {
			number, unit = strings.TrimSpace(strings.TrimSuffix(text, u.name)), u.bytes
			break
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !isNumber(number) || f < 0 || f*float64(unit) >= 1<<62 {
		return 0, fmt.Errorf("%s isn't a size", strconv.Quote(short(text)))
	}
	if i, ok := parseInt(number); ok {
		return Size(i * unit), nil
	}
	return Size(f * float64(unit)), nil
}

func decodeSize(d *decoder, n *node, path string, v reflect.Value, tag reflect.StructTag) {
	if n.kind != scalarNode {
		d.wrong(n, path, `a size such as "64MiB"`)
		return
	}
	s, err := ParseSize(n.text)
	if err != nil {
		d.add(n.at, path, "units are KiB, MiB, GiB, TiB, kB, MB, GB and TB", `want a size such as "64MiB", got %s`, strconv.Quote(short(n.text)))
		return
	}
	v.SetInt(int64(s))
	d.off(v, tag)
}

func decodeCommand(d *decoder, n *node, path string, v reflect.Value, tag reflect.StructTag) {
	var c Command
	switch n.kind {
	case scalarNode:
		s, _ := d.scalar(n, path)
		if strings.TrimSpace(s) == "" {
			d.add(n.at, path, "", "the command is empty")
			return
		}
		c.Shell = s
	case listNode:
		d.slice(n, path, reflect.ValueOf(&c.Args).Elem(), tag)
		if len(c.Args) == 0 || c.Args[0] == "" {
			d.add(n.at, path, "", "the list has no program")
			return
		}
	default:
		d.wrong(n, path, "text for the shell, or a list of a program and its arguments")
		return
	}
	v.Set(reflect.ValueOf(c))
}

func encodeCommand(v reflect.Value) any {
	c := v.Interface().(Command)
	if len(c.Args) > 0 {
		return c.Args
	}
	return c.Shell
}

// validEnvName tells whether all shells can use the variable.
func validEnvName(s string) bool {
	for i, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return s != ""
}

func decodeEnv(d *decoder, n *node, path string, v reflect.Value, _ reflect.StructTag) {
	var env Env
	set := func(at pos, name, value string) {
		if !validEnvName(name) {
			d.add(at, path, "letters, digits and _, not a digit first", "%s isn't the name of a variable", strconv.Quote(short(name)))
			return
		}
		if _, ok := env.Get(name); ok && !d.compose {
			d.add(at, path, "", "%s is there twice", name)
			return
		}
		env = env.with(name, value)
		d.where[join(path, name)] = at
	}
	switch n.kind {
	case dictNode:
		for _, e := range n.entries {
			if s, ok := d.scalar(e.value, join(path, e.name)); ok {
				at := e.at
				at.line = abs(at.line)
				set(at, e.name, s)
			}
		}
	case listNode:
		for i, item := range n.items {
			s, ok := d.scalar(item, fmt.Sprintf("%s[%d]", path, i))
			if !ok {
				continue
			}
			name, value, found := strings.Cut(s, "=")
			if !found {
				d.add(item.at, path, "write NAME=value", "there is no = after the name")
				continue
			}
			set(item.at, name, value)
		}
	default:
		d.wrong(n, path, "NAME: value, or a list of NAME=value")
	}
	v.Set(reflect.ValueOf(env))
}

func encodeEnv(v reflect.Value) any {
	var o object
	for _, e := range v.Interface().(Env) {
		value := e.Value
		if SecretName(e.Name) {
			value = hidden
		}
		o = append(o, member{e.Name, value})
	}
	return o
}

func decodeSecrets(d *decoder, n *node, path string, v reflect.Value, _ reflect.StructTag) {
	if n.kind != dictNode {
		d.wrong(n, path, "NAME: file")
		return
	}
	var all Secrets
	for _, e := range n.entries {
		s, ok := d.scalar(e.value, join(path, e.name))
		switch {
		case !ok:
		case !validEnvName(e.name):
			d.add(e.at, path, "letters, digits and _, not a digit first", "%s isn't the name of a variable", strconv.Quote(short(e.name)))
		case s == "":
			d.add(e.at, join(path, e.name), "", "there is no file")
		default:
			all = append(all, Secret{e.name, s})
		}
	}
	v.Set(reflect.ValueOf(all))
}

func encodeSecrets(v reflect.Value) any {
	var o object
	for _, s := range v.Interface().(Secrets) {
		o = append(o, member{s.Name, s.File})
	}
	return o
}

func decodeProcesses(d *decoder, n *node, path string, v reflect.Value, _ reflect.StructTag) {
	if n.kind != dictNode {
		d.wrong(n, path, "name: process")
		return
	}
	var all Processes
	for _, e := range n.entries {
		if !validName(e.name) {
			d.add(e.at, path, nameHint, "%s isn't a name", strconv.Quote(short(e.name)))
			continue
		}
		p := Process{Name: e.name}
		key := join(path, e.name)
		d.where[key] = e.at
		d.value(e.value, key, reflect.ValueOf(&p).Elem(), "")
		all = append(all, p)
	}
	v.Set(reflect.ValueOf(all))
}

func encodeProcesses(v reflect.Value) any {
	var o object
	for i := range v.Len() {
		o = append(o, member{v.Index(i).FieldByName("Name").String(), plain(v.Index(i))})
	}
	return o
}

func decodePorts(d *decoder, n *node, path string, v reflect.Value, _ reflect.StructTag) {
	var all Ports
	one := func(n *node, path, name string) {
		p := Port{Name: name}
		if n.kind == dictNode && name == "" {
			d.structure(n, path, reflect.ValueOf(&p).Elem())
		} else {
			f, _ := typeOf[Port]().FieldByName("Number")
			d.value(n, path, reflect.ValueOf(&p.Number).Elem(), f.Tag)
		}
		if p.Name == "" {
			p.Name = "port"
			if len(all) > 0 {
				p.Name = fmt.Sprintf("port%d", len(all)+1)
			}
		}
		all = append(all, p)
	}
	switch n.kind {
	case listNode:
		for i, item := range n.items {
			one(item, fmt.Sprintf("%s[%d]", path, i), "")
		}
	case dictNode:
		for _, e := range n.entries {
			if !validName(e.name) {
				d.add(e.at, path, nameHint, "%s isn't a name", strconv.Quote(short(e.name)))
				continue
			}
			one(e.value, join(path, e.name), e.name)
		}
	default:
		d.wrong(n, path, "a list of ports, or name: number")
	}
	v.Set(reflect.ValueOf(all))
}

func decodeDependencies(d *decoder, n *node, path string, v reflect.Value, _ reflect.StructTag) {
	var all Dependencies
	one := func(n *node, path, name string) {
		dep := Dependency{Process: name}
		switch {
		case n.kind == scalarNode && name == "":
			dep.Process, _ = d.scalar(n, path)
		case n.kind == scalarNode:
			dep.Condition, _ = d.scalar(n, path)
		default:
			d.value(n, path, reflect.ValueOf(&dep).Elem(), "")
		}
		if name != "" && dep.Process != name {
			d.add(n.at, path, "", "the process is named twice")
		}
		all = append(all, dep)
	}
	switch n.kind {
	case listNode:
		for i, item := range n.items {
			one(item, fmt.Sprintf("%s[%d]", path, i), "")
		}
	case dictNode:
		for _, e := range n.entries {
			d.where[join(path, e.name)] = e.at
			one(e.value, join(path, e.name), e.name)
		}
	case scalarNode:
		one(n, path, "")
	default:
		d.wrong(n, path, "a list of names, or name: condition")
	}
	v.Set(reflect.ValueOf(all))
}
