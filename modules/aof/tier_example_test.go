package aof_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/objstore"
)

// A log whose old segments live in a bucket, and another machine that goes on when the first one is gone.
func Example_tiers() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "aof")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	bucket := objstore.NewMemory() // objstore/bucketurl opens s3://bucket/prefix

	l, err := aof.Open(dir+"/first", aof.Options{SegmentBytes: 1 << 20, Tiers: aof.Tiers{Bucket: bucket, Epoch: 1}})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := l.Append(ctx, []byte("kept"), aof.Fsync); err != nil {
		log.Fatal(err)
	}
	if err := l.Seal(ctx); err != nil { // or when the segment is full
		log.Fatal(err)
	}
	for l.Stats().Tier[aof.Cold] == 0 {
		// The segment is compressed and uploaded behind the scenes.
	}
	l.Close()

	l, err = aof.Open(dir+"/second", aof.Options{SegmentBytes: 1 << 20, Tiers: aof.Tiers{Bucket: bucket, Epoch: 2, Adopt: true}})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	rec, err := l.ReadAt(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}
	next, err := l.Append(ctx, []byte("and more"), aof.Fsync)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("1: %s; appended %d\n", rec, next)
	// Output: 1: kept; appended 2
}
