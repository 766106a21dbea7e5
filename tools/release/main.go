// Command release keeps the modules of this repository installable on their own.
//
//	release check   builds each module as an outside user would: from a module proxy made of the working tree
//	release tidy    runs go mod tidy in each module against the same proxy, without leaving checksums of siblings
//
// Both run from anywhere inside the repository. The modules require each other at the version in the file VERSION,
// without replace directives; the workspace hides a missing requirement, the proxy doesn't.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: release check | release tidy")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	repo, err := openRepo()
	if err != nil {
		return err
	}
	switch args[0] {
	case "check":
		return check(ctx, repo)
	case "tidy":
		return tidy(ctx, repo)
	default:
		return fmt.Errorf("unknown command %q: use check or tidy", args[0])
	}
}
