package spec

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Resolve returns the project as it is run: with defaults, with the env files read into Env, with ${VAR} replaced and
// with absolute paths. env is what the processes inherit, as os.Environ returns it; it isn't copied into them.
//
// A variable is looked up in the process's Env, its env files, the project's Env, its env files and env, in this order;
// an env value sees only what comes before it. The error is Errors: variables that aren't set, env files that can't be
// read. A resolved project is returned as it is.
func (p *Project) Resolve(env []string) (*Project, error) {
	if p.resolved {
		return p, nil
	}
	f := &faults{}
	x := &expander{where: p.where, faults: f, secret: map[string]bool{}}
	for _, v := range env {
		if name, value, ok := strings.Cut(v, "="); ok && name != "" {
			x.env = append(x.env, EnvVar{name, value})
		}
	}
	r := *p
	r.Namespace = orDefault(p.Namespace, "default")
	r.EnvFiles = x.texts("env_files", p.EnvFiles)
	shared := x.readEnvFiles(p.Dir, "env_files", r.EnvFiles)
	shared = x.envValues("env", p.Env, shared)
	r.Env = shared
	outer := x.env
	r.Processes = make(Processes, len(p.Processes))
	for i := range p.Processes {
		proc := p.Processes[i]
		path := join("processes", proc.Name)
		proc.Namespace = orDefault(proc.Namespace, r.Namespace)
		fill(reflect.ValueOf(&proc).Elem(), reflect.ValueOf(p.Defaults))
		x.env = slices.Clone(outer)
		proc.EnvFiles = x.texts(join(path, "env_files"), proc.EnvFiles)
		own := x.readEnvFiles(p.Dir, join(path, "env_files"), proc.EnvFiles)
		own = x.envValues(join(path, "env"), proc.Env, own)
		proc.Env = slices.Clone(shared)
		for _, v := range own {
			proc.Env = proc.Env.with(v.Name, v.Value)
		}
		proc.EnvFiles = nil
		x.structure(path, reflect.ValueOf(&proc).Elem())
		proc.Dir = absolute(p.Dir, orDefault(proc.Dir, "."))
		for j := range proc.Secrets {
			proc.Secrets[j].File = absolute(p.Dir, proc.Secrets[j].File)
		}
		r.Processes[i] = proc.Resolved()
	}
	r.conditions()
	applyDefaults(reflect.ValueOf(&r.Shutdown).Elem())
	r.Version, r.EnvFiles, r.Defaults, r.resolved = 1, nil, Defaults{}, true
	r.hide = slices.SortedFunc(maps.Keys(x.secret), func(a, b string) int { return len(b) - len(a) })
	for i := range r.Processes {
		r.Processes[i].hide = r.hide
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return &r, nil
}

// conditions fills the conditions that aren't said, by what the other process is.
func (p *Project) conditions() {
	for i := range p.Processes {
		for j := range p.Processes[i].DependsOn {
			dep := &p.Processes[i].DependsOn[j]
			if dep.Condition != "" {
				continue
			}
			dep.Condition = Started
			if other, _ := p.Process(dep.Process); other.Ready != nil {
				dep.Condition = Ready
			} else if other.Kind == Oneshot {
				dep.Condition = Completed
			}
		}
	}
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func absolute(dir, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(dir, name)
}

// readEnvFiles reads files over what x knows, and returns what they set.
func (x *expander) readEnvFiles(dir, path string, files []string) (set Env) {
	for i, name := range files {
		at := path + "[" + strconv.Itoa(i) + "]"
		name, optional := strings.CutPrefix(name, "?")
		text, err := os.ReadFile(absolute(dir, name))
		if optional && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			x.faults.add(x.place(at), at, `a leading "?" lets it be missing`, "%s", err)
			continue
		}
		vars, err := ParseEnv(absolute(dir, name), text, x.lookup)
		if err != nil {
			var list Errors
			errors.As(err, &list)
			x.faults.list = append(x.faults.list, list...)
			continue
		}
		for _, v := range vars {
			set = set.with(v.Name, v.Value)
			x.env = x.env.with(v.Name, v.Value)
		}
	}
	return set
}

// envValues adds the variables of a file's env to set, each seeing those before it.
func (x *expander) envValues(path string, env, set Env) Env {
	for _, v := range env {
		value := x.text(join(path, v.Name), v.Value)
		set = set.with(v.Name, value)
		x.env = x.env.with(v.Name, value)
	}
	return set
}

// Resolved returns the process with the defaults in all fields that are zero. It doesn't replace variables.
func (p Process) Resolved() Process {
	r := p
	r.Namespace = orDefault(r.Namespace, "default")
	if r.Kind == "" {
		r.Kind = Daemon
		if r.Schedule != nil {
			r.Kind = Scheduled
		}
	}
	if r.Restart.Policy == "" {
		r.Restart.Policy = Never
		if r.Kind == Daemon {
			r.Restart.Policy = Always
		}
	}
	r.Shell = append([]string(nil), p.shell()...)
	if s := r.Serve; s != nil {
		c := *s
		if c.Port == "" && len(r.Ports) > 0 {
			c.Port = r.Ports[0].Name
		}
		r.Serve = &c
	}
	applyDefaults(reflect.ValueOf(&r).Elem())
	for _, probe := range []*Probe{r.Ready, r.Live} {
		if probe == nil || probe.HTTP == nil || probe.HTTP.URL != "" {
			continue
		}
		h := probe.HTTP
		h.Scheme, h.Host, h.Path = orDefault(h.Scheme, "http"), orDefault(h.Host, "127.0.0.1"), orDefault(h.Path, "/")
		if h.Port == "" && len(r.Ports) > 0 {
			h.Port = r.Ports[0].Name
		}
	}
	return r
}

// applyDefaults puts the tags' defaults into fields that are zero. What is behind pointers and in lists is copied
// first: the process it came from isn't changed.
func applyDefaults(v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		fv := v.Field(f.index)
		switch text := f.tag.Get("default"); {
		case text != "" && fv.IsZero():
			setDefault(fv, text)
		case fv.Kind() == reflect.Pointer && !fv.IsNil():
			fresh := reflect.New(fv.Type().Elem())
			fresh.Elem().Set(fv.Elem())
			fv.Set(fresh)
			applyDefaults(fv.Elem())
		case fv.Kind() == reflect.Struct:
			applyDefaults(fv)
		case fv.Kind() == reflect.Slice && fv.Type().Elem().Kind() == reflect.Struct && fv.Len() > 0:
			fresh := reflect.MakeSlice(fv.Type(), fv.Len(), fv.Len())
			reflect.Copy(fresh, fv)
			fv.Set(fresh)
			for i := range fv.Len() {
				applyDefaults(fv.Index(i))
			}
		}
	}
}

// setDefault panics if a tag's default isn't a value of its field; a test sets them all.
func setDefault(v reflect.Value, text string) {
	switch {
	case v.Type() == typeOf[time.Duration]():
		d, err := time.ParseDuration(text)
		if err != nil {
			panic(err)
		}
		v.SetInt(int64(d))
	case v.Type() == typeOf[Size]():
		s, err := ParseSize(text)
		if err != nil {
			panic(err)
		}
		v.SetInt(int64(s))
	case v.Kind() == reflect.String:
		v.SetString(text)
	default:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			panic(err)
		}
		if v.Kind() == reflect.Float64 {
			v.SetFloat(f)
		} else {
			v.SetInt(int64(f))
		}
	}
}

// fill sets the fields of dst that are zero from the fields of src with the same key. Lists and maps of names are
// united, and what dst has wins.
func fill(dst, src reflect.Value) {
	to := map[string]reflect.Value{}
	for _, f := range fieldsOf(dst.Type()) {
		to[f.key] = dst.Field(f.index)
	}
	for _, f := range fieldsOf(src.Type()) {
		d, s := to[f.key], src.Field(f.index)
		switch own := d.Addr().Interface().(type) {
		case *map[string]string:
			all := maps.Clone(s.Interface().(map[string]string))
			if all == nil {
				continue
			}
			maps.Copy(all, *own)
			*own = all
		case *Secrets:
			all := slices.Clone(*own)
			for _, shared := range s.Interface().(Secrets) {
				if !slices.ContainsFunc(all, func(o Secret) bool { return o.Name == shared.Name }) {
					all = append(all, shared)
				}
			}
			*own = all
		case *Command:
			if own.IsZero() {
				d.Set(s)
			}
		default:
			if d.Kind() == reflect.Struct {
				fill(d, s)
			} else if d.IsZero() {
				d.Set(s)
			}
		}
	}
}
