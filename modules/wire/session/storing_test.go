package session_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// The files of testdata/storing hold statements with what PostgreSQL 15 and MariaDB answer, errors with their codes and
// words. Of MySQL only the numbers of errors count, as MariaDB words some in its own way. A line that begins with "ours:"
// says what ours is where it differs, with the reason in a comment.
func TestWhatAColumnDoesNotHoldIsRefusedInTheOriginalsWords(t *testing.T) {
	for name, dialect := range map[string]ir.Dialect{"postgres": ir.Postgres, "mysql": ir.MySQL} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile("testdata/storing/" + name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			x := start(t).open(dialect)
			for block := range strings.SplitSeq(string(text), "\n\n") {
				head, body, _ := strings.Cut(strings.TrimSpace(block), "\n")
				statement, want, _ := strings.Cut(body, "\n----")
				want = strings.TrimSpace(want)
				if head == "" || strings.HasPrefix(head, "#") {
					continue
				}
				if _, ours, ok := strings.Cut(want, "ours: "); ok {
					want, _, _ = strings.Cut(ours, "\n")
				}
				got, err := x.try(statement)
				if head == "setup" {
					if err != nil {
						t.Fatal(err)
					}
					continue
				}
				if !strings.HasPrefix(statement, "SELECT") && !strings.Contains(statement, "RETURNING") {
					got = "" // its tag
				}
				var e *sqlerr.Error
				if errors.As(err, &e) {
					got = "error: " + e.State + " " + e.Message
					if dialect == ir.MySQL {
						got = "error: " + strconv.Itoa(int(e.Number))
						want = strings.Join(strings.Fields(want)[:min(2, len(strings.Fields(want)))], " ")
					}
				}
				if got != want {
					t.Errorf("%s\ngot  %s\nwant %s", statement, got, want)
				}
			}
		})
	}
}
