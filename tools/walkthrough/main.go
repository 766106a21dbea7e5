// Command walkthrough runs the procedures of a document as they are written: its ```sh blocks, one after the other, in one
// shell and an empty folder. They see a network of their own, in which this machine has the addresses 10.0.0.1 to 10.0.0.4.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	bop := flag.String("bop", "bin/bop", "the command that the procedures call")
	limit := flag.Duration("limit", 5*time.Minute, "how long all of them may take")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: walkthrough [flags] FILE.md\n\nExample:\n  go run ./tools/walkthrough -bop bin/bop docs/operations.md")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := walk(flag.Arg(0), *bop, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "walkthrough:", err)
		os.Exit(1)
	}
}

// network makes the addresses and runs the script in them. Whatever it leaves behind ends with it.
const network = `ip link set lo up
for i in 1 2 3 4; do ip addr add 10.0.0.$i/32 dev lo; done
exec bash -s`

func walk(document, bop string, limit time.Duration) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	script, blocks := scriptOf(document, string(text))
	if blocks == 0 {
		return fmt.Errorf("%s has no block that begins with ```sh", document)
	}
	if bop, err = filepath.Abs(bop); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bop-walkthrough-")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, "unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "sh", "-ec", network)
	c.Dir, c.Stdin, c.Stdout, c.Stderr = dir, strings.NewReader(script), os.Stdout, os.Stderr
	c.Env = append(os.Environ(), "PATH="+filepath.Dir(bop)+string(os.PathListSeparator)+os.Getenv("PATH"), "PGCONNECT_TIMEOUT=10")
	c.WaitDelay = 10 * time.Second
	if err := c.Run(); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("not done after %v", limit)
		}
		return fmt.Errorf("%s: %w; what it made is in %s", document, err, dir)
	}
	fmt.Printf("%s: %d blocks ran as they are written\n", document, blocks)
	return os.RemoveAll(dir)
}

// scriptOf joins the blocks of a document. Each says where it begins.
func scriptOf(name, text string) (script string, blocks int) {
	var b bytes.Buffer
	b.WriteString("set -euo pipefail\n")
	inside := false
	for i, line := range strings.Split(text, "\n") {
		switch {
		case !inside && line == "```sh":
			inside = true
			blocks++
			fmt.Fprintf(&b, "echo '== %s:%d'\n", filepath.Base(name), i+2)
		case inside && line == "```":
			inside = false
		case inside:
			b.WriteString(line + "\n")
		}
	}
	return b.String(), blocks
}
