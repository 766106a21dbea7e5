package crypt_test

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

func Example() {
	ctx := context.Background()
	keys, err := crypt.ParseKeys([]byte(crypt.GenerateKey("2026")))
	if err != nil {
		panic(err)
	}
	database := [16]byte{1}
	ring, err := crypt.NewKeyring(ctx, keys, database)
	if err != nil {
		panic(err)
	}
	stored := ring.Encode()

	pages := ring.Blocks("page", 1)
	page := pages.Seal(nil, []byte("a page"), []byte("page 7, version 3"))
	var object bytes.Buffer
	w, err := ring.SealObject(&object, 1, "backup/1")
	if err != nil {
		panic(err)
	}
	fmt.Fprint(w, "a backup")
	if err := w.Close(); err != nil {
		panic(err)
	}

	ring, err = crypt.DecodeKeyring(ctx, keys, database, stored)
	if err != nil {
		panic(err)
	}
	plain, err := ring.Blocks("page", 1).Open(nil, page, []byte("page 7, version 3"))
	fmt.Printf("%s, %v\n", plain, err)
	_, err = ring.Blocks("page", 1).Open(nil, page, []byte("page 8, version 3"))
	fmt.Println(err)

	b := object.Bytes()
	o, err := ring.OpenObject(b[:crypt.ObjectHeaderBytes], 1, "backup/1", int64(len(b)))
	if err != nil {
		panic(err)
	}
	plain, err = io.ReadAll(o.Reader(bytes.NewReader(b[crypt.ObjectHeaderBytes:])))
	fmt.Printf("%s, %v\n", plain, err)
	// Output:
	// a page, <nil>
	// page block sealed by data key 1: sealed bytes were changed, or belong elsewhere
	// a backup, <nil>
}
