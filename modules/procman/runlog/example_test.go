package runlog_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/bop-platform/bop/modules/procman/runlog"
)

func Example() {
	dir, err := os.MkdirTemp("", "runlog")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := runlog.Open(dir, runlog.Options{Compress: true})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()

	out := l.Writer("run-1", runlog.Out)
	io.WriteString(out, "level=info msg=listening port=8080\npan")
	io.WriteString(out, "ic: no such table\n")
	out.Close()

	c := l.Read(runlog.Query{Tail: 10})
	for {
		r, err := c.Next(context.Background())
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		if r.Gap != nil {
			fmt.Printf("%d to %d are missing: %s\n", r.Gap.From, r.Gap.To, r.Gap.Reason)
			continue
		}
		fields, kind := runlog.ParseLine(r.Data)
		fmt.Println(r.Sequence, r.Run, r.Stream, kind, fields.Level, string(r.Data))
	}
	// Output:
	// 1 run-1 out logfmt info level=info msg=listening port=8080
	// 2 run-1 out plain unknown panic: no such table
}
