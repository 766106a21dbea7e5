package spec_test

import (
	"fmt"

	"github.com/bop-platform/bop/modules/procman/spec"
)

func ExampleParse() {
	p, err := spec.Parse("/srv/shop", "bop.yaml", []byte(`
processes:
  db:
    command: postgres -D data
    ready: {tcp: "localhost:${DB_PORT:-5432}"}
  api:
    command: [./api, --verbose]
    depends_on: [db]
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := p.Resolve(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range r.Processes {
		proc := &r.Processes[i]
		fmt.Printf("%s: %q restart %s\n", proc.Name, proc.Argv(), proc.Restart.Policy)
	}
	fmt.Println(r.Processes[0].Ready.TCP, r.Processes[1].DependsOn[0].Condition)
	// Output:
	// db: ["/bin/sh" "-c" "postgres -D data"] restart always
	// api: ["./api" "--verbose"] restart always
	// localhost:5432 ready
}

func ExampleErrors() {
	_, err := spec.Parse("/srv/shop", "bop.yaml", []byte("processes:\n  api:\n    command: ./api\n    replcas: 2\n"))
	fmt.Println(err)
	// Output:
	// bop.yaml:4:5: processes.api.replcas: unknown key "replcas" (did you mean "replicas"?)
	//     4 |     replcas: 2
	//       |     ^
}
