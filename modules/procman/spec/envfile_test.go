package spec

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseEnv(t *testing.T) {
	lookup := func(name string) (string, bool) { return "outer", name == "OUTER" }
	tests := []struct {
		name, text string
		want       Env
	}{
		{"a value", "A=1", Env{{"A", "1"}}},
		{"blanks around", "  A = 1  ", Env{{"A", "1"}}},
		{"export", "export A=1\nexport\tB=2", Env{{"A", "1"}, {"B", "2"}}},
		{"a variable called export", "export=1", Env{{"export", "1"}}},
		{"comments and empty lines", "# x\n\n  # y\nA=1 # z\nB=1#2\nC= # all\n", Env{{"A", "1"}, {"B", "1#2"}, {"C", ""}}},
		{"nothing", "A=\nB=''", Env{{"A", ""}, {"B", ""}}},
		{"a later line wins", "A=1\nB=2\nA=3", Env{{"A", "3"}, {"B", "2"}}},
		{"single quotes take all", `A='a $B ${C} \n # "x"' # c`, Env{{"A", `a $B ${C} \n # "x"`}}},
		{"double quotes have escapes", `A="a\n\t\"\\ \$B \q # x"`, Env{{"A", "a\n\t\"\\ $B \\q # x"}}},
		{"several lines", "A=\"a\nb\"\nB='c\n\nd'\nC=1", Env{{"A", "a\nb"}, {"B", "c\n\nd"}, {"C", "1"}}},
		{"variables", "A=1\nB=${A}2\nC=\"${B}3\"\nD=${OUTER}\nE=${NONE}\nF=${NONE:-f}", Env{{"A", "1"}, {"B", "12"}, {"C", "123"}, {"D", "outer"}, {"E", ""}, {"F", "f"}}},
		{"a dollar sign alone", "A=a$b$1", Env{{"A", "a$b$1"}}},
		{"an escaped variable", `A="\${A}"`, Env{{"A", "${A}"}}},
		{"an equals sign", "A=b=c", Env{{"A", "b=c"}}},
		{"Windows", "\ufeffA=1\r\nB=\"2\"\r\n", Env{{"A", "1"}, {"B", "2"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseEnv(".env", []byte(test.text), lookup)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, %v; want %q", got.Strings(), err, test.want.Strings())
			}
		})
	}
}

func TestParseEnvFaultsHaveALineAndNoValue(t *testing.T) {
	tests := []struct {
		name, text string
		line       int
		says       string
	}{
		{"no equals sign", "A=1\nhunter2", 2, "no ="},
		{"a bad name", "1A=hunter2", 1, "isn't the name"},
		{"a quote that isn't closed", "A=1\nB=\"hunter2\nx\ny", 2, "isn't closed"},
		{"something after the quote", "B=\"hunter2\" hunter2", 1, "after the closing quote"},
		{"a variable that isn't one", "B=hunter2${", 1, "isn't ${NAME}"},
		{"a zero byte", "B=hunter2\x00", 1, "zero byte"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseEnv(".env", []byte(test.text), nil)
			list := listOf(t, err)
			if list[0].Line != test.line || list[0].Column < 1 {
				t.Errorf("at %d:%d", list[0].Line, list[0].Column)
			}
			mustContain(t, err.Error(), test.says)
			if strings.Contains(err.Error(), "hunter") {
				t.Errorf("a value is in %v", err)
			}
		})
	}
}

func TestEnvFilesOfProjectAndProcess(t *testing.T) {
	dir := folder(t, map[string]string{
		"bop.yaml": "env_files: [all.env, \"?none.env\"]\nenv: {B: \"${A}b\"}\nprocesses:\n  a:\n    command: \"x ${C} ${A}\"\n    env_files: ${WHICH}.env\n    env: {C: \"${B}c\"}\n  b:\n    command: x\n",
		"all.env":  "A=1\nX=all\n",
		"own.env":  "X=own\nA=2\n",
	})
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Resolve([]string{"WHICH=own", "A=outer"})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.Processes[0].Env.Strings(), " "); got != "A=2 X=own B=1b C=1bc" {
		t.Errorf("got %s", got)
	}
	if got := r.Processes[0].Command.Shell; got != "x 1bc 2" {
		t.Errorf("got %s", got)
	}
	if got := strings.Join(r.Processes[1].Env.Strings(), " "); got != "A=1 X=all B=1b" {
		t.Errorf("got %s", got)
	}
	_, err = p.Resolve([]string{"WHICH=no"})
	if list := listOf(t, err); list[0].Line != 6 {
		t.Errorf("got %v", list)
	}
}
