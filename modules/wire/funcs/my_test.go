package funcs

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/types"
)

// lines are the lines of a golden file without comments.
func lines(t testing.TB, file string) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

var typeMark = regexp.MustCompile(`@type\((\w+)\)`)

// withCodes replaces @type(name) by the code of a type.
func withCodes(sql string) string {
	return typeMark.ReplaceAllStringFunc(sql, func(s string) string {
		t, _ := types.PGTypeByName(s[len("@type(") : len(s)-1])
		return strconv.FormatInt(t.Code(), 10)
	})
}

// asMySQL are the calls for which MySQL 8 answers otherwise than the server that the results were recorded from.
var asMySQL = map[string]string{
	"my_rpad('hi', 5, '')":                       "",
	"my_sec_to_time('1000000000')":               "838:59:59",
	"my_str_to_date('2024-02-30','%Y-%m-%d')":    "NULL",
	"my_date_add('2024-01-30', '1.5', 'SECOND')": "2024-01-30 00:00:01.500000",
}

func TestMySQLFunctionsAnswerAsTheServerDoes(t *testing.T) {
	c := open(t, &Env{Strict: true})
	for _, line := range lines(t, "my_calls.tsv") {
		sql, want, _ := strings.Cut(line, "\t")
		t.Run(sql, func(t *testing.T) {
			if w, ok := asMySQL[sql]; ok {
				want = w
			}
			got, err := eval(t, c, "SELECT "+withCodes(sql))
			if err != nil {
				got = "!" + err.Error()
			}
			got = strings.ReplaceAll(strings.ReplaceAll(got, `\`, `\\`), "\t", `\t`)
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
