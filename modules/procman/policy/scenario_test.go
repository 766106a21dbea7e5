package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The scenarios are in testdata/*.txt. A line is one of
//
//	scenario: <sentence>
//	policy <policy> [initial= max= factor= jitter= reset= count= per= then= chance=] [code=<n,n>:<action>] [signal=<n>:<action>]
//	<time> exit <cause> [lived= code= signal= by= ready=] -> <action> [after= attempt=] ["a part of the reason"]
//	<time> manual | forget | stop by=<who>
//	<time> due -> <wait> | none
//
// <time> is where the clock stands since the begin of the scenario; it can jump. lived= is by that clock, too. Without
// jitter= there is none, all else has its default. Each scenario also runs with the Tracker written to JSON and read back
// before each line, and with a copy of it that is used in between.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range strings.Split(string(text), "scenario: ")[1:] {
			n++
			title, lines, _ := strings.Cut(s, "\n")
			t.Run(title, func(t *testing.T) {
				plain := play(t, lines, func(tr *Tracker) {})
				stored := play(t, lines, func(tr *Tracker) {
					b, err := json.Marshal(tr)
					if err != nil {
						t.Fatal(err)
					}
					back := Tracker{Restart: tr.Restart, Random: tr.Random}
					if err := json.Unmarshal(b, &back); err != nil {
						t.Fatal(err)
					}
					*tr = back
				})
				copied := play(t, lines, func(tr *Tracker) {
					other := *tr
					for i := range 3 {
						now := epoch.Add(time.Duration(i) * time.Hour)
						other.Exited(now, now, Outcome{Cause: OOM})
					}
				})
				if !slices.EqualFunc(plain, stored, sameDecision) || !slices.EqualFunc(plain, copied, sameDecision) {
					t.Errorf("plain  %+v\nstored %+v\ncopied %+v", plain, stored, copied)
				}
			})
		}
	}
	if n < 40 {
		t.Errorf("only %d scenarios were found", n)
	}
}

var epoch = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func sameDecision(a, b Decision) bool {
	if !a.At.Equal(b.At) {
		return false
	}
	a.At, b.At = time.Time{}, time.Time{}
	return a == b
}

func play(t *testing.T, lines string, between func(*Tracker)) []Decision {
	t.Helper()
	var tr Tracker
	var got []Decision
	for line := range strings.Lines(lines) {
		line, quoted, _ := strings.Cut(strings.TrimSpace(line), `"`)
		event, want, _ := strings.Cut(line, "->")
		f := strings.Fields(event)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if f[0] == "policy" {
			setPolicy(t, &tr, f[1:])
			continue
		}
		between(&tr)
		now := epoch.Add(duration(t, f[0]))
		opt := options(f[2:])
		switch f[1] {
		case "manual":
			got = append(got, tr.Manual(now))
		case "forget":
			tr.Forget()
		case "stop":
			got = append(got, tr.Stop(now, opt["by"]))
		case "due":
			wait, ok := tr.Due(now)
			if s := strings.TrimSpace(want); s == "none" && ok || s != "none" && (!ok || wait != duration(t, s)) {
				t.Fatalf("%s: got %v, %v", line, wait, ok)
			}
		case "exit":
			o := Outcome{Code: number(t, opt["code"]), Signal: number(t, opt["signal"]), By: opt["by"]}
			must(t, o.Cause.UnmarshalText([]byte(f[2])))
			if s := opt["ready"]; s != "" {
				must(t, o.Ready.UnmarshalText([]byte(s)))
			}
			var started time.Time
			if s := opt["lived"]; s != "" {
				started = now.Add(-duration(t, s))
			}
			d := tr.Exited(now, started, o)
			got = append(got, d)
			expect(t, line, now, d, want, strings.TrimSuffix(quoted, `"`))
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	return got
}

func expect(t *testing.T, line string, now time.Time, d Decision, want, reason string) {
	t.Helper()
	f := strings.Fields(want)
	if len(f) == 0 {
		t.Fatalf("%s: nothing is expected", line)
	}
	opt := options(f[1:])
	ok := d.Action.String() == f[0] && strings.Contains(d.Reason, reason)
	if s := opt["after"]; s != "" {
		ok = ok && d.After == duration(t, s)
	}
	if s := opt["attempt"]; s != "" {
		ok = ok && d.Attempt == number(t, s)
	}
	if d.starts() {
		ok = ok && d.At.Equal(now.Add(d.After))
	} else {
		ok = ok && d.At.IsZero() && d.After == 0
	}
	if !ok {
		t.Fatalf("%s %q\ngot %+v", line, reason, d)
	}
	if !strings.HasSuffix(d.Reason, ".") || strings.Count(d.Reason, ". ") > 0 {
		t.Errorf("not one sentence: %q", d.Reason)
	}
}

func setPolicy(t *testing.T, tr *Tracker, f []string) {
	t.Helper()
	r := Restart{Backoff: Backoff{Jitter: -1}}
	must(t, r.Policy.UnmarshalText([]byte(f[0])))
	tr.Random = nil
	for _, s := range f[1:] {
		k, v, _ := strings.Cut(s, "=")
		switch k {
		case "initial":
			r.Backoff.Initial = duration(t, v)
		case "max":
			r.Backoff.Max = duration(t, v)
		case "factor":
			r.Backoff.Factor = float(t, v)
		case "jitter":
			r.Backoff.Jitter = float(t, v)
		case "chance":
			c := float(t, v)
			tr.Random = func() float64 { return c }
		case "reset":
			r.ResetAfter = duration(t, v)
		case "count":
			r.Window.Count = number(t, v)
		case "per":
			r.Window.Per = duration(t, v)
		case "then":
			must(t, r.Window.Then.UnmarshalText([]byte(v)))
		case "code", "signal":
			list, action, _ := strings.Cut(v, ":")
			var c CodeRule
			for n := range strings.SplitSeq(list, ",") {
				if k == "code" {
					c.Codes = append(c.Codes, number(t, n))
				} else {
					c.Signals = append(c.Signals, number(t, n))
				}
			}
			must(t, c.Action.UnmarshalText([]byte(action)))
			r.ByCode = append(r.ByCode, c)
		default:
			t.Fatalf("unknown setting %q", s)
		}
	}
	must(t, r.Validate())
	tr.Restart = r
}

func options(f []string) map[string]string {
	m := map[string]string{}
	for _, s := range f {
		k, v, _ := strings.Cut(s, "=")
		m[k] = v
	}
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	must(t, err)
	return d
}

func float(t *testing.T, s string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(s, 64)
	must(t, err)
	return f
}

func number(t *testing.T, s string) int {
	t.Helper()
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	must(t, err)
	return n
}

// A run of a random policy against a random process. What it may not do is the same for all.
func TestTheseHoldForAnyPolicyAndAnyProcess(t *testing.T) {
	for seed := range uint64(400) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 1))
			ms := func(n int) time.Duration { return time.Duration(rnd.IntN(n)) * time.Millisecond }
			r := Restart{
				Policy:     Policy(rnd.IntN(2)), // Never would be dull
				Backoff:    Backoff{Initial: ms(3000) - 500, Factor: 1 + rnd.Float64()*4, Jitter: rnd.Float64()*1.2 - 0.2},
				ResetAfter: ms(20000) - 1000,
				Window:     Window{Count: rnd.IntN(12) - 1, Per: ms(90000), Then: Then(rnd.IntN(3))},
			}
			r.Backoff.Max = max(0, r.Backoff.Initial) + ms(30000)
			r.ByCode = []CodeRule{{Codes: []int{75}, Action: RuleRestartNow}, {Codes: []int{3}, Action: RuleRestart}}
			must(t, r.Validate())
			full := r.WithDefaults()
			longest := time.Duration(float64(full.Backoff.Max)*(1+max(0, full.Backoff.Jitter))) + time.Microsecond
			tr := Tracker{Restart: r, Random: rnd.Float64}
			now, attempt := epoch, 0
			var starts []time.Time
			for range 300 {
				started := now
				now = now.Add(ms([]int{500, 5000, 60000}[rnd.IntN(3)]))
				o := Outcome{Cause: []Cause{Crash, Clean, OOM, StartFailed, KilledOutside, Dependency, Liveness}[rnd.IntN(7)]}
				o.Code = []int{0, 1, 3, 75}[rnd.IntN(4)]
				before := tr
				d := tr.Exited(now, started, o)
				healthy := o.Cause != StartFailed && full.ResetAfter >= 0 && now.Sub(started) >= full.ResetAfter
				if healthy {
					attempt = 0
				}
				switch {
				case d.After < 0 || !reflect.DeepEqual(before.Restart, tr.Restart):
					t.Fatalf("got %+v", d)
				case d.Action == DoRestart && d.After > longest:
					t.Fatalf("%v is longer than %v", d.After, longest)
				case d.Action == DoHold && d.After != full.Window.Per:
					t.Fatalf("it is held for %v", d.After)
				case o.Cause == Dependency && (d.Action != DoFinish || len(before.Restarts) != len(tr.Restarts)):
					t.Fatalf("an intended end gives %+v", d)
				case d.starts() && d.Attempt != attempt+1:
					t.Fatalf("attempt %d after %d", d.Attempt, attempt)
				}
				attempt = d.Attempt
				if !d.starts() { // someone else starts it later, which isn't a restart of the Tracker's
					now = now.Add(ms(10000))
					continue
				}
				now = d.At.Add(ms(300) * time.Duration(rnd.IntN(2))) // the caller is sometimes late
				starts = append(starts, now)
				if c := full.Window.Count; c > 0 && len(starts) > c {
					first := starts[len(starts)-1-c]
					if got := now.Sub(first); got < full.Window.Per {
						t.Fatalf("%d restarts within %v, allowed are %d in %v", c+1, got, c, full.Window.Per)
					}
				}
			}
		})
	}
}

// Nobody may rely on the clock.
func TestAClockThatJumpsAtRandomDoesNoHarm(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		tr := Tracker{Random: rnd.Float64, Restart: Restart{Window: Window{Then: Then(rnd.IntN(3))}}}
		now := epoch
		for range 200 {
			started := now
			if rnd.IntN(4) == 0 {
				now = now.Add(time.Duration(rnd.Int64N(int64(20*365*24*time.Hour))) - 10*365*24*time.Hour)
			} else {
				now = now.Add(time.Duration(rnd.IntN(5)) * time.Second)
			}
			d := tr.Exited(now, started, Outcome{Code: 1})
			if d.After < 0 || d.After > 60*time.Second || len(tr.Restarts) > DefaultCount {
				t.Fatalf("seed %d: got %+v", seed, d)
			}
			if wait, _ := tr.Due(epoch); wait < 0 || wait > d.After {
				t.Fatalf("seed %d: due in %v", seed, wait)
			}
		}
	}
}

func TestAClockThatOnlyJumpsBackNeverAllowsMoreThanTheWindow(t *testing.T) {
	// What counts is the true time, which the Tracker can't see.
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		tr := Tracker{Random: rnd.Float64, Restart: Restart{Window: Window{Then: ThenHold}}}
		var passed, off time.Duration
		var starts []time.Duration
		for range 200 {
			started := epoch.Add(passed + off)
			passed += time.Duration(rnd.IntN(5000)) * time.Millisecond
			if rnd.IntN(5) == 0 {
				off -= time.Duration(rnd.Int64N(int64(time.Hour)))
			}
			d := tr.Exited(epoch.Add(passed+off), started, Outcome{Code: 1})
			passed += d.After
			if starts = append(starts, passed); len(starts) > DefaultCount {
				if got := passed - starts[len(starts)-1-DefaultCount]; got < DefaultPer {
					t.Fatalf("seed %d: %d restarts within %v", seed, DefaultCount+1, got)
				}
			}
		}
	}
}

func FuzzADecodedTrackerIsNeverTrusted(f *testing.F) {
	f.Add([]byte(`{}`), int64(5), uint8(0), 1)
	f.Add([]byte(`{"attempt":-7,"restarts":["2999-01-01T00:00:00Z","0001-01-01T00:00:00Z"]}`), int64(-5), uint8(2), 0)
	f.Add([]byte(`{"attempt":9223372036854775807,"last":{"action":"restart","after":-9,"at":"2026-01-01T00:00:00Z"}}`), int64(0), uint8(0), 137)
	f.Add([]byte(`{"stopped":true,"by":"anna","last":{"action":"hold","after":9223372036854775807}}`), int64(1)<<62, uint8(4), 3)
	f.Fuzz(func(t *testing.T, data []byte, lived int64, cause uint8, code int) {
		var tr Tracker
		if json.Unmarshal(data, &tr) != nil {
			return
		}
		if wait, _ := tr.Due(epoch); wait < 0 {
			t.Fatalf("due in %v", wait)
		}
		stopped := tr.Stopped
		d := tr.Exited(epoch, epoch.Add(-time.Duration(lived)), Outcome{Cause: Cause(cause), Code: code})
		if d.After < 0 || d.After > DefaultPer || d.Attempt < 0 || d.Action == DoNothing || d.Reason == "" {
			t.Fatalf("got %+v", d)
		}
		if stopped && d.Action != DoFinish {
			t.Fatalf("it was stopped, and now %+v", d)
		}
		if len(tr.Restarts) > MaxCount || !slices.IsSortedFunc(tr.Restarts, time.Time.Compare) {
			t.Fatalf("restarts are %v", tr.Restarts)
		}
		b, err := json.Marshal(tr)
		if err != nil {
			t.Fatal(err)
		}
		var back Tracker
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		next, again := epoch.Add(time.Second), Outcome{Code: 1}
		if a, b := tr.Exited(next, epoch, again), back.Exited(next, epoch, again); !sameDecision(a, b) {
			t.Fatalf("before %+v, after %+v", a, b)
		}
	})
}
