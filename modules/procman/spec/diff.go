package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
)

// ChangeKind is what became of a process.
type ChangeKind string

// The kinds of change.
const (
	Added   ChangeKind = "added"
	Removed ChangeKind = "removed"
	Changed ChangeKind = "changed"
)

// Change is what became of one process between two projects.
type Change struct {
	Process string
	Kind    ChangeKind
	Fields  []string // the keys that changed, such as restart.backoff.max
	Restart bool     // a running one has to be restarted for it
}

// Diff returns what changed, in the order of new, then what is removed. Both should be resolved, so that a new value of
// a variable counts. Either can be nil. It doesn't see that the content of a secret's file changed; Hash does.
func Diff(old, new *Project) []Change {
	if old == nil {
		old = &Project{}
	}
	if new == nil {
		new = &Project{}
	}
	var all []Change
	for i := range new.Processes {
		p := &new.Processes[i]
		before, ok := old.Process(p.Name)
		if !ok {
			all = append(all, Change{Process: p.Name, Kind: Added})
			continue
		}
		c := Change{Process: p.Name, Kind: Changed}
		c.compare("", reflect.ValueOf(before), reflect.ValueOf(*p), false)
		if len(c.Fields) > 0 {
			all = append(all, c)
		}
	}
	for i := range old.Processes {
		if _, ok := new.Process(old.Processes[i].Name); !ok {
			all = append(all, Change{Process: old.Processes[i].Name, Kind: Removed})
		}
	}
	return all
}

func (c *Change) compare(path string, a, b reflect.Value, live bool) {
	for _, f := range fieldsOf(a.Type()) {
		key, av, bv := join(path, f.key), a.Field(f.index), b.Field(f.index)
		live := live || f.tag.Get("live") != ""
		if av.Kind() == reflect.Pointer && !av.IsNil() && !bv.IsNil() {
			av, bv = av.Elem(), bv.Elem()
		}
		if av.Kind() == reflect.Struct && av.Type() != typeOf[Command]() {
			c.compare(key, av, bv, live)
			continue
		}
		same := emptyField(av) && emptyField(bv) || reflect.DeepEqual(av.Interface(), bv.Interface())
		if !same {
			c.Fields = append(c.Fields, key)
			c.Restart = c.Restart || !live
		}
	}
}

// Hash is the first 12 hex digits of a SHA-256 over the process with its defaults. It changes when a field does, or the
// content of a secret's file, which it reads; a file that can't be read counts as one value of its own.
func Hash(p Process) string {
	p = p.Resolved()
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", p.Name)
	for _, v := range p.Env { // the JSON form leaves out the values of some
		fmt.Fprintf(h, "env %q\n", v.Name+"="+v.Value)
	}
	for _, s := range p.Secrets {
		fmt.Fprintf(h, "secret %q %s\n", s.Name, contentHash(s.File))
	}
	p.Env, p.Secrets = nil, nil
	h.Write(encode(&p, nil))
	return hex.EncodeToString(h.Sum(nil))[:12]
}

func contentHash(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unreadable"
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}
