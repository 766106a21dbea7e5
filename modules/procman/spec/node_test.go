package spec

import (
	"fmt"
	"strings"
	"testing"
)

func TestTextThatWouldKeepTheParserBusyIsRefused(t *testing.T) {
	var keys strings.Builder
	for i := range maxKeys + 2 {
		fmt.Fprintf(&keys, "k%d: 1\n", i)
	}
	for name, test := range map[string]struct{ text, says string }{
		"a long file":         {strings.Repeat("#"+strings.Repeat(" ", 100)+"\n", 11000), "longer than"},
		"many lines":          {strings.Repeat("#\n", maxLines), "more than 30000 lines"},
		"a long line":         {"a: " + strings.Repeat("x", maxLineBytes), "the line is longer"},
		"deep brackets":       {strings.Repeat("[", maxNesting+1), "open brackets"},
		"deep lists":          {strings.Repeat("- ", maxNesting*5), "too many marks"},
		"many keys":           {keys.String(), "more than 5000 keys"},
		"an anchor in itself": {"a: &a [*a]\n", "no anchor"},
	} {
		t.Run(name, func(t *testing.T) {
			list := faultsOf(t, test.text)
			if list[0].Line < 1 {
				t.Errorf("there is no line: %v", list[0])
			}
			mustContain(t, list.Error(), test.says)
		})
	}
}

func TestScalarsFollowTheCoreSchemaOfYAML12(t *testing.T) {
	for text, want := range map[string]bool{
		"1": true, "-1": true, "010": true, "0x1F": true, "0o17": true, "1.5": true, "1e3": true, ".5": true,
		"1_000": false, "0b1": false, "1:30": false, "yes": false, "": false, "-": false, "1.2.3": false, "10s": false,
	} {
		if isNumber(text) != want {
			t.Errorf("%q is a number: %t", text, !want)
		}
	}
	p := parse(t, "processes: {a: {command: x, env: {A: yes, B: 010, C: 1_0, D: null, E: ~, F: 'null', G: 1.10}}}")
	got := strings.Join(p.Processes[0].Env.Strings(), " ")
	if got != "A=yes B=010 C=1_0 D= E= F=null G=1.10" {
		t.Errorf("values aren't as they are written: %s", got)
	}
}
