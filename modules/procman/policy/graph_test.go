package policy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// graph reads "web: db! cache?, db": ! restarts too, ? stops too, nothing ignores.
func graph(s string) Graph {
	g := Graph{}
	for p := range strings.SplitSeq(s, ",") {
		name, needs, _ := strings.Cut(strings.TrimSpace(p), ":")
		g[name] = nil
		for n := range strings.FieldsSeq(needs) {
			d := Needs{On: strings.TrimRight(n, "!?")}
			if strings.HasSuffix(n, "!") {
				d.OnRestart = RestartToo
			} else if strings.HasSuffix(n, "?") {
				d.OnRestart = StopToo
			}
			g[name] = append(g[name], d)
		}
	}
	return g
}

func TestOrder(t *testing.T) {
	for _, c := range []struct{ name, graph, want string }{
		{"what needs nothing starts together, by name", "b, a, c", "[[a b c]]"},
		{"a chain starts one by one", "web: api, api: db, db", "[[db] [api] [web]]"},
		{"a diamond starts both sides together", "top: l r, l: base, r: base, base", "[[base] [l r] [top]]"},
		{"what is needed twice by one counts once", "a: b b, b", "[[b] [a]]"},
		{"two that need each other are named", "a: b, b: a, c", "processes depend on each other: a -> b -> a"},
		{"one that needs itself is named", "a: a", "processes depend on each other: a -> a"},
		{"only the cycle is named, not what hangs on it", "x: y, y: z, z: y, a: x", "processes depend on each other: y -> z -> y"},
		{"all that is missing is named", "a: b c, d: e", "a depends on b, which is not there\na depends on c, which is not there\nd depends on e, which is not there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			levels, err := Order(graph(c.graph))
			got := fmt.Sprint(levels)
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %s", got)
			}
			var cycle *CycleError
			if strings.Contains(c.want, "->") != errors.As(err, &cycle) {
				t.Errorf("it is a %T", err)
			}
		})
	}
	if levels, err := Order(nil); levels != nil || err != nil {
		t.Errorf("nothing: %v, %v", levels, err)
	}
}

func TestAShutdownIsTheOtherWayRound(t *testing.T) {
	levels := [][]string{{"db"}, {"api"}, {"web"}}
	if got := fmt.Sprint(Reverse(levels)); got != "[[web] [api] [db]]" || levels[0][0] != "db" {
		t.Errorf("got %s, and %v", got, levels)
	}
}

func TestPropagate(t *testing.T) {
	for _, c := range []struct{ name, graph, restarted, want string }{
		{"those that ignore it stay (supervisor#874)", "web: db, db", "db", "[]"},
		{"those that restart too follow in order of start", "web: api!, api: db!, db", "db", "[{api restart db} {web restart api}]"},
		{"it ends where a restart is ignored", "web: api, api: db!, db", "db", "[{api restart db}]"},
		{"what it depends on stays", "web: api!, api: db!, db", "web", "[]"},
		{"a stop goes on as a stop, since there is nothing to come back to", "web: api!, api: db?, db", "db", "[{api stop db} {web stop api}]"},
		{"a stop is ignored too", "web: api, api: db?, db", "db", "[{api stop db}]"},
		{"each is there once, after all that it needs", "top: l! r! base!, l: base!, r: base!, base", "base", "[{l restart base} {r restart base} {top restart base}]"},
		{"a stop by one way wins over a restart by another", "top: l! r!, l: base!, r: base?, base", "base", "[{l restart base} {r stop base} {top stop r}]"},
		{"a late stop reaches those that were to restart", "z: a!, a: base! m!, m: n?, n: base!, base", "base", "[{n restart base} {m stop n} {a stop m} {z stop a}]"},
		{"a cycle ends", "a: b!, b: a! c!, c", "c", "[{a restart b} {b restart c}]"},
		{"a cycle through itself ends", "a: b!, b: a!", "a", "[{b restart a}]"},
		{"one that needs itself is no step", "a: a!", "a", "[]"},
		{"an unknown one does nothing", "a: b!", "x", "[]"},
		{"of two needs for one the stronger counts", "a: b b? b!, b", "b", "[{a stop b}]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fmt.Sprint(Propagate(graph(c.graph), c.restarted)); got != c.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestAnyGraphIsOrderedOrItsCycleIsReal(t *testing.T) {
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		g := Graph{}
		n := 1 + rnd.IntN(12)
		for i := range n {
			var needs []Needs
			for range rnd.IntN(3) {
				needs = append(needs, Needs{fmt.Sprint(rnd.IntN(n)), OnRestart(rnd.IntN(3))})
			}
			g[fmt.Sprint(i)] = needs
		}
		needs := func(a, b string) bool {
			return slices.ContainsFunc(g[a], func(d Needs) bool { return d.On == b })
		}
		levels, err := Order(g)
		var c *CycleError
		at := map[string]int{}
		for i, l := range levels {
			for _, p := range l {
				at[p] = i
			}
		}
		if errors.As(err, &c) {
			for i := range len(c.Path) - 1 {
				if !needs(c.Path[i], c.Path[i+1]) {
					t.Fatalf("seed %d: %v is no cycle of %v", seed, c.Path, g)
				}
			}
			if len(c.Path) < 2 || c.Path[0] != c.Path[len(c.Path)-1] {
				t.Fatalf("seed %d: %v doesn't close", seed, c.Path)
			}
		} else if len(at) != n {
			t.Fatalf("seed %d: %v is not all of %v", seed, levels, g)
		}
		for p, i := range at {
			for _, d := range g[p] {
				if at[d.On] >= i {
					t.Fatalf("seed %d: %s starts before %s: %v", seed, p, d.On, levels)
				}
			}
		}
		seen := map[string]OnRestart{"0": RestartToo}
		for i, s := range Propagate(g, "0") {
			if _, twice := seen[s.Name]; twice || s.Action == IgnoreRestart || !needs(s.Name, s.Because) {
				t.Fatalf("seed %d: step %d %v of %v", seed, i, s, g)
			}
			seen[s.Name] = s.Action
		}
		for p, list := range g { // nobody was forgotten, and no stop was
			for _, d := range list {
				if from, ok := seen[d.On]; ok && d.OnRestart != IgnoreRestart && p != "0" && seen[p] < max(from, d.OnRestart) {
					t.Fatalf("seed %d: %s is %v, though %s is %v: %v", seed, p, seen[p], d.On, from, g)
				}
			}
		}
	}
}

func TestAffected(t *testing.T) {
	members := []string{"db", "api", "web"}
	for _, c := range []struct {
		name        string
		mode        Mode
		failed      string
		stop, start []string
	}{
		{"one for one restarts only it", OneForOne, "api", nil, []string{"api"}},
		{"rest for one restarts those after it", RestForOne, "api", []string{"web"}, []string{"api", "web"}},
		{"rest for the first one restarts all", RestForOne, "db", []string{"web", "api"}, []string{"db", "api", "web"}},
		{"rest for the last one restarts only it", RestForOne, "web", nil, []string{"web"}},
		{"one for all restarts all", OneForAll, "api", []string{"web", "db"}, []string{"db", "api", "web"}},
		{"a stranger does nothing", OneForAll, "x", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			stop, start := Group{c.mode, members}.Affected(c.failed)
			if !reflect.DeepEqual(stop, c.stop) || !reflect.DeepEqual(start, c.start) {
				t.Errorf("stop %v, start %v", stop, start)
			}
			for i := range start {
				start[i] = "changed"
			}
			if members[0] != "db" || members[1] != "api" || members[2] != "web" {
				t.Error("the result shares the group's memory")
			}
		})
	}
}

func TestEscalationsGoFromTheGroupToTheNamespace(t *testing.T) {
	for _, c := range []struct {
		place Place
		want  string
	}{
		{Place{"dev", "backend", "api"}, "[{group backend restart-group} {namespace dev stop-namespace}]"},
		{Place{"dev", "", "api"}, "[{namespace dev stop-namespace}]"},
	} {
		if got := fmt.Sprint(c.place.Escalations()); got != c.want {
			t.Errorf("%v: %s", c.place, got)
		}
	}
}
