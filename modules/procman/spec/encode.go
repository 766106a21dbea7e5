package spec

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// object is a JSON object with the order of its keys.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON keeps the order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, part := range []any{m.key, m.value} {
			if j > 0 {
				b.WriteByte(':')
			}
			text, err := marshal(part)
			if err != nil {
				return nil, err
			}
			b.Write(text)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// marshal is json.Marshal that leaves <, > and & as they are: commands have them.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// encode writes a part of the model as bop.yaml has it, in JSON. hide are values that are left out of all text.
func encode(v any, hide []string) []byte {
	tree := scrub(plain(reflect.ValueOf(v).Elem()), hide)
	text, err := marshal(tree)
	if err != nil { // a tree of text and numbers can always be written, but for numbers that JSON hasn't
		return []byte(`{}`)
	}
	return text
}

// plain turns a part of the model into objects, lists, text and numbers, by the same table the decoder reads. Fields
// that are zero are left out.
func plain(v reflect.Value) any {
	if form, ok := forms[v.Type()]; ok && form.encode != nil {
		return form.encode(v)
	}
	switch v.Kind() {
	case reflect.Pointer:
		return plain(v.Elem())
	case reflect.Struct:
		o := object{}
		for _, f := range fieldsOf(v.Type()) {
			fv := v.Field(f.index)
			if emptyField(fv) {
				continue
			}
			if f.tag.Get("off") != "" && (fv.CanInt() && fv.Int() == -1 || fv.CanFloat() && fv.Float() == -1) {
				zero := plain(reflect.Zero(fv.Type()))
				o = append(o, member{f.key, zero})
				continue
			}
			if value := plain(fv); !isEmptyObject(value) {
				o = append(o, member{f.key, value})
			}
		}
		return o
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		return list
	default:
		return v.Interface()
	}
}

func emptyField(v reflect.Value) bool {
	if v.Kind() == reflect.Slice || v.Kind() == reflect.Map {
		return v.Len() == 0
	}
	return v.IsZero()
}

func isEmptyObject(v any) bool {
	o, ok := v.(object)
	return ok && len(o) == 0
}

// scrub takes secret values out of all text.
func scrub(v any, hide []string) any {
	if len(hide) == 0 {
		return v
	}
	switch v := v.(type) {
	case object:
		for i := range v {
			v[i].value = scrub(v[i].value, hide)
		}
		return v
	case []any:
		for i := range v {
			v[i] = scrub(v[i], hide)
		}
		return v
	case []string:
		all := make([]any, len(v))
		for i := range v {
			all[i] = scrub(v[i], hide)
		}
		return all
	case map[string]string:
		all := make(map[string]string, len(v))
		for name, text := range v {
			all[name] = scrub(text, hide).(string)
		}
		return all
	case string:
		for _, secret := range hide {
			v = strings.ReplaceAll(v, secret, hidden)
		}
		return v
	default:
		return v
	}
}
