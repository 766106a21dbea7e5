package aof_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/bop-platform/bop/modules/aof"
)

func Example() {
	dir, err := os.MkdirTemp("", "aof")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	l, err := aof.Open(dir, aof.Options{SegmentBytes: 1 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()

	ctx := context.Background()
	for _, text := range []string{"first", "second"} {
		pos, err := l.Append(ctx, []byte(text), aof.Fsync) // returns when it is on disk
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("appended", pos)
	}

	r, err := l.Reader(1)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	for range 2 {
		rec, err := r.Next(ctx) // would wait for the next record at the tail
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d: %s\n", rec.Position, rec.Data)
	}
	// Output:
	// appended 1
	// appended 2
	// 1: first
	// 2: second
}
