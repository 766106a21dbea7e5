package spec

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Schema is the JSON schema (draft 2020-12) of bop.yaml, for editors and agents. It is made from the tags that the
// decoder reads.
func Schema() []byte {
	b := &schemaBuilder{defs: map[string]any{}}
	b.ref(typeOf[Project]())
	root := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "bop.yaml",
		"$ref":    "#/$defs/Project",
		"$defs":   b.defs,
	}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(err) // maps of text and numbers
	}
	return append(text, '\n')
}

type schemaBuilder struct {
	defs    map[string]any
	current reflect.Type // whose form is asked
}

// ref defines a struct once and refers to it.
func (b *schemaBuilder) ref(t reflect.Type) map[string]any {
	name := t.Name()
	if _, ok := b.defs[name]; !ok {
		b.defs[name] = nil // ends the recursion
		properties := map[string]any{}
		for _, f := range fieldsOf(t) {
			s := b.of(t.Field(f.index).Type, f.tag)
			if doc := fieldDoc[name+"."+t.Field(f.index).Name]; doc != "" {
				s["description"] = doc
			}
			properties[f.key] = s
		}
		self := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
		if form, ok := forms[t]; ok && form.schema != nil {
			b.current = t
			self = form.schema(b, self)
		}
		b.defs[name] = self
	}
	return map[string]any{"$ref": "#/$defs/" + name}
}

// of is the schema of a value of a field.
func (b *schemaBuilder) of(t reflect.Type, tag reflect.StructTag) map[string]any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var s map[string]any
	form, special := forms[t]
	switch {
	case special && (t.Kind() != reflect.Struct || t == typeOf[Command]()):
		s = form.schema(b, nil)
	case t.Kind() == reflect.Struct:
		s = b.ref(t)
	case t.Kind() == reflect.Slice:
		s = map[string]any{"type": "array", "items": b.item(t.Elem(), tag)}
		if tag.Get("one") != "" {
			s = map[string]any{"anyOf": []any{map[string]any{"type": "string"}, s}}
		}
	case t.Kind() == reflect.Map:
		s = map[string]any{"type": "object", "additionalProperties": textLike()}
	case t.Kind() == reflect.Bool:
		s = map[string]any{"type": "boolean"}
	case t.Kind() == reflect.String:
		s = map[string]any{"type": "string"}
		if enum := tag.Get("enum"); enum != "" {
			s["enum"] = strings.Split(enum, "|")
		}
		if tag.Get("name") != "" {
			s["pattern"] = namePattern
		}
		if tag.Get("loose") != "" {
			s["type"] = []string{"string", "integer"}
		}
	default:
		s = map[string]any{"type": "integer"}
		if t.Kind() == reflect.Float64 {
			s["type"] = "number"
		}
		bound(s, "minimum", tag.Get("min"))
		bound(s, "maximum", tag.Get("max"))
	}
	if text := tag.Get("default"); text != "" {
		s["default"] = defaultOf(t, text)
	}
	return s
}

const namePattern = `^[a-zA-Z0-9_.-]{1,63}$`

func (b *schemaBuilder) item(t reflect.Type, tag reflect.StructTag) map[string]any {
	if t.Kind() == reflect.String {
		return textLike()
	}
	return b.of(t, reflect.StructTag(onlyBounds(tag)))
}

func onlyBounds(tag reflect.StructTag) string {
	return `min:"` + tag.Get("min") + `" max:"` + tag.Get("max") + `"`
}

func bound(s map[string]any, key, text string) {
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		s[key] = f
	}
}

func defaultOf(t reflect.Type, text string) any {
	if f, err := strconv.ParseFloat(text, 64); err == nil && t.Kind() != reflect.String {
		return f
	}
	return text
}

// textLike is text that may look like something else: env values and arguments.
func textLike() map[string]any {
	return map[string]any{"type": []string{"string", "number", "boolean", "null"}}
}

func durationSchema(*schemaBuilder, map[string]any) map[string]any {
	return map[string]any{"type": "string", "pattern": `^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$|^0$`}
}

func sizeSchema(*schemaBuilder, map[string]any) map[string]any {
	units := make([]string, len(sizeUnits))
	for i := range sizeUnits {
		units[i] = sizeUnits[i].name
	}
	slices.Sort(units)
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "integer", "minimum": 0},
		map[string]any{"type": "string", "pattern": `^[0-9.]+ ?(` + strings.Join(units, "|") + `)?$`},
	}}
}

func commandSchema(*schemaBuilder, map[string]any) map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "string"},
		map[string]any{"type": "array", "items": textLike(), "minItems": 1},
	}}
}

func envSchema(*schemaBuilder, map[string]any) map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "object", "propertyNames": map[string]any{"pattern": `^[A-Za-z_][A-Za-z0-9_]*$`}, "additionalProperties": textLike()},
		map[string]any{"type": "array", "items": map[string]any{"type": "string", "pattern": `^[A-Za-z_][A-Za-z0-9_]*=`}},
	}}
}

func secretsSchema(*schemaBuilder, map[string]any) map[string]any {
	return map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "string"}}
}

func processesSchema(b *schemaBuilder, _ map[string]any) map[string]any {
	return map[string]any{"type": "object", "propertyNames": map[string]any{"pattern": namePattern}, "additionalProperties": b.ref(typeOf[Process]())}
}

func portsSchema(b *schemaBuilder, _ map[string]any) map[string]any {
	number := map[string]any{"type": "integer", "minimum": 0, "maximum": 65535}
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "array", "items": map[string]any{"anyOf": []any{number, b.ref(typeOf[Port]())}}},
		map[string]any{"type": "object", "additionalProperties": number},
	}}
}

func dependenciesSchema(b *schemaBuilder, _ map[string]any) map[string]any {
	one := map[string]any{"anyOf": []any{map[string]any{"type": "string"}, b.ref(typeOf[Dependency]())}}
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "string"},
		map[string]any{"type": "array", "items": one},
		map[string]any{"type": "object", "additionalProperties": one},
	}}
}
