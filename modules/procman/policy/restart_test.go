package policy

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestValidateListsEveryMistake(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name  string
		r     Restart
		words []string
	}{
		{"the zero value is good", Restart{}, nil},
		{"all defaults are good", Restart{}.WithDefaults(), nil},
		{"all that can be off is off", Restart{ResetAfter: -1, Backoff: Backoff{Initial: -1, Jitter: -1}, Window: Window{Count: -1}}, nil},
		{"a first wait beyond the default cap moves the cap", Restart{Backoff: Backoff{Initial: time.Hour}}, nil},
		{"a cap below the first wait", Restart{Backoff: Backoff{Initial: 2, Max: 1}}, []string{"backoff.max: 1ns is less than"}},
		{"a cap below the default first wait", Restart{Backoff: Backoff{Max: time.Millisecond}}, []string{"backoff.max: 1ms is less than"}},
		{"no number at all", Restart{Backoff: Backoff{Factor: nan, Jitter: nan}}, []string{"backoff.factor", "backoff.jitter"}},
		{"an infinite factor", Restart{Backoff: Backoff{Factor: math.Inf(1)}}, []string{"backoff.factor"}},
		{
			"many at once",
			Restart{
				Policy: 9, Backoff: Backoff{Max: -1, Factor: 0.5, Jitter: 2}, Window: Window{Count: 2000, Per: -1, Then: 7},
				ByCode: []CodeRule{
					{Codes: []int{1, 256, 1}, Signals: []int{0}, Action: RuleStop},
					{Codes: []int{1}, Signals: []int{65}},
					{Action: RuleFail},
				},
			},
			[]string{
				"policy:", "backoff.max:", "backoff.factor: 0.5", "backoff.jitter: 2", "window.count: 2000", "window.per:", "window.then:",
				"by_code[0].codes: 256", "by_code[0].signals: 0", "by_code[1].action", "by_code[1].codes: 1 is in by_code[0] already",
				"by_code[1].signals: 65", "by_code[2]: it has neither",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lines []string
			if err := c.r.Validate(); err != nil {
				lines = strings.Split(err.Error(), "\n")
			}
			if len(lines) != len(c.words) {
				t.Fatalf("got %d mistakes: %q", len(lines), lines)
			}
			for _, w := range c.words {
				if !strings.Contains(strings.Join(lines, "\n"), w) {
					t.Errorf("%q is not in %q", w, lines)
				}
			}
		})
	}
}

func TestDefaultsStayWhenTheyAreSetTwice(t *testing.T) {
	r := Restart{ResetAfter: -1, Window: Window{Count: -1}}.WithDefaults()
	if again := r.WithDefaults(); !reflect.DeepEqual(r, again) {
		t.Errorf("%+v became %+v", r, again)
	}
	if r.ResetAfter != -1 || r.Window.Count != -1 || r.Window.Per != DefaultPer {
		t.Errorf("got %+v", r)
	}
}

func TestDelayIsNeverAbsurdEvenIfTheBackoffIs(t *testing.T) {
	values := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0, 0.5, 1, 2, 1e308}
	times := []time.Duration{math.MinInt64, -1, 0, 1, time.Second, math.MaxInt64}
	for _, factor := range values {
		for _, jitter := range values {
			for _, chance := range values {
				for _, first := range times {
					for _, longest := range times {
						for _, attempt := range []int{math.MinInt, 0, 1, 2, 100, math.MaxInt} {
							b := Backoff{first, longest, factor, jitter}
							cap := 2 * float64(Restart{Backoff: b}.WithDefaults().Backoff.Max)
							if d := b.Delay(attempt, chance); d < 0 || d > 0 && float64(d) > cap {
								t.Fatalf("%+v, attempt %d, chance %v: %v", b, attempt, chance, d)
							}
						}
					}
				}
			}
		}
	}
}

func TestEachNameIsReadBack(t *testing.T) {
	type all struct {
		P Policy
		T Then
		R RuleAction
		A Action
		Y Readiness
		M Mode
		O OnRestart
		C Cause
	}
	for i := range uint8(len(causeNames)) {
		in := all{
			Policy(i % 3), Then(i % 3), RuleAction(i%5 + 1), Action(i % 6), Readiness(i % 3), Mode(i % 3), OnRestart(i % 3), Cause(i),
		}
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var out all
		if err := json.Unmarshal(b, &out); err != nil || in != out {
			t.Errorf("%s: %v", b, err)
		}
	}
	if err := new(Policy).UnmarshalText([]byte("On-Failure")); err == nil ||
		err.Error() != `policy is "On-Failure", not one of on-failure, always, never` {
		t.Errorf("got %v", err)
	}
	if err := new(RuleAction).UnmarshalText(nil); err == nil {
		t.Error("an empty rule action was read")
	}
	if _, err := RuleAction(0).MarshalText(); err == nil || RuleAction(0).String() != "rule action(0)" {
		t.Error("a rule action that is none was written")
	}
}

func TestAnUnknownCauseIsACrash(t *testing.T) {
	// A mistake of the caller. A restart is safer than silence.
	var tr Tracker
	if d := tr.Exited(epoch, epoch, Outcome{Cause: 200, Code: 1}); d.Action != DoRestart {
		t.Errorf("got %+v", d)
	}
}

func TestThePolicyIsNotStored(t *testing.T) {
	tr := Tracker{Restart: Restart{Policy: Always}, Random: func() float64 { return 0 }, Attempt: 3}
	b, err := json.Marshal(tr)
	if err != nil || string(b) != `{"attempt":3}` {
		t.Errorf("%s, %v", b, err)
	}
	if err := json.Unmarshal([]byte(`{"attempt":4}`), &tr); err != nil || tr.Restart.Policy != Always || tr.Random == nil {
		t.Errorf("%+v, %v", tr, err)
	}
}

func TestTimesWithAMonotonicReadingDecideTheSame(t *testing.T) {
	now := time.Now()
	a, b := Tracker{Attempt: 2}, Tracker{Attempt: 2}
	x := a.Exited(now.Add(time.Minute), now, Outcome{})
	y := b.Exited(now.Add(time.Minute).Round(0), now.Round(0), Outcome{})
	if x != y || x.Attempt != 1 {
		t.Errorf("%+v and %+v", x, y)
	}
}

func TestCodesAreReadAsShellsWriteThem(t *testing.T) {
	for _, c := range []struct {
		code, signal, shell int
		words               string
	}{
		{0, 0, 0, ""},
		{1, 0, 1, ""},
		{126, 0, 126, "could not be run"},
		{127, 0, 127, "not found"},
		{128, 0, 128, ""},
		{0, 9, 137, "SIGKILL"},
		{143, 0, 143, "SIGTERM"},
		{-1, 44, 172, "signal 44"},
		{193, 0, 193, ""},
		{255, 0, 255, ""},
	} {
		got := ShellCode(c.code, c.signal)
		if e := ExplainCode(got); got != c.shell || !strings.Contains(e, c.words) || (e == "") != (c.words == "") {
			t.Errorf("%d, %d: %d, %q", c.code, c.signal, got, e)
		}
		if s, ok := CodeSignal(got); ok != strings.Contains(strings.ToLower(c.words), "sig") || ok && s != got-128 {
			t.Errorf("%d: signal %d, %v", got, s, ok)
		}
	}
}

func TestErrorsAreJoinedOnePerLine(t *testing.T) {
	err := Restart{Policy: 9, Window: Window{Then: 9}}.Validate()
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) || len(joined.Unwrap()) != 2 {
		t.Errorf("got %v", err)
	}
}
