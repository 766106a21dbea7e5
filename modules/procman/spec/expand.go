package spec

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// missingError: a variable isn't set and has no default.
type missingError struct{ name string }

func (e *missingError) Error() string { return fmt.Sprintf("the variable %s isn't set", e.name) }

// expand replaces ${NAME} and ${NAME:-default} and turns $$ into $. Any other $ is left as it is.
func expand(text string, lookup func(string) (string, bool)) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		switch text[i+1] {
		case '$':
			b.WriteByte('$')
			i++
		case '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return "", errors.New("there is no } after ${")
			}
			name, fallback, has := strings.Cut(text[i+2:i+end], ":-")
			if !validEnvName(name) {
				return "", fmt.Errorf("%s isn't ${NAME} or ${NAME:-default}", strconv.Quote(short(text[i:i+end+1])))
			}
			value, ok := lookup(name)
			switch {
			case has && value == "":
				value = fallback
			case !ok && !has:
				return "", &missingError{name}
			}
			b.WriteString(value)
			i += end
		default:
			b.WriteByte('$')
		}
	}
	return b.String(), nil
}

// expander replaces variables in the fields that have the tag expand.
type expander struct {
	where  map[string]pos
	faults *faults
	env    Env
	secret map[string]bool // values of variables with a secret's name that were put in
}

func (x *expander) lookup(name string) (string, bool) {
	value, ok := x.env.Get(name)
	if ok && SecretName(name) && len(value) >= 4 {
		x.secret[value] = true
	}
	return value, ok
}

func (x *expander) text(path, text string) string {
	out, err := expand(text, x.lookup)
	if err == nil {
		return out
	}
	hint := "write $$ for a dollar sign"
	var missing *missingError
	if errors.As(err, &missing) {
		known := make([]string, len(x.env))
		for i := range x.env {
			known[i] = x.env[i].Name
		}
		if hint = meant(missing.name, known); hint == "" {
			hint = fmt.Sprintf("set it, or write ${%s:-default}; $${%s} leaves it to the shell", missing.name, missing.name)
		}
	}
	x.faults.add(x.place(path), path, hint, "%s", err)
	return text
}

// place is where a key is, or the nearest one around it.
func (x *expander) place(path string) pos { return placeOf(x.where, path) }

func placeOf(where map[string]pos, path string) pos {
	for {
		if at, ok := where[path]; ok {
			at.line = abs(at.line)
			return at
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return where[""]
		}
		path = path[:i]
	}
}

// structure replaces in all fields of a struct. Env isn't among them: its order counts, so Resolve does it.
func (x *expander) structure(path string, v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		x.value(join(path, f.key), v.Field(f.index), f.tag.Get("expand") != "")
	}
}

func (x *expander) value(path string, v reflect.Value, declared bool) {
	switch at := v.Addr().Interface().(type) {
	case *Env, *Processes:
		return
	case *Command:
		if declared {
			at.Shell = x.text(path, at.Shell)
			at.Args = x.texts(path, at.Args)
		}
		return
	case *Secrets:
		all := append(Secrets(nil), *at...)
		for i := range all {
			all[i].File = x.text(join(path, all[i].Name), all[i].File)
		}
		*at = all
		return
	case *map[string]string:
		if !declared || *at == nil {
			return
		}
		all := make(map[string]string, len(*at))
		for name, text := range *at {
			all[name] = x.text(join(path, name), text)
		}
		*at = all
		return
	case *[]string:
		if declared {
			*at = x.texts(path, *at)
		}
		return
	}
	switch v.Kind() {
	case reflect.String:
		if declared {
			v.SetString(x.text(path, v.String()))
		}
	case reflect.Struct:
		x.structure(path, v)
	case reflect.Pointer:
		if !v.IsNil() {
			fresh := reflect.New(v.Type().Elem())
			fresh.Elem().Set(v.Elem())
			v.Set(fresh)
			x.structure(path, v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Struct || v.Len() == 0 {
			return
		}
		fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(fresh, v)
		v.Set(fresh)
		for i := range v.Len() {
			x.structure(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	}
}

func (x *expander) texts(path string, list []string) []string {
	if list == nil {
		return nil
	}
	all := make([]string, len(list))
	for i := range list {
		all[i] = x.text(fmt.Sprintf("%s[%d]", path, i), list[i])
	}
	return all
}
