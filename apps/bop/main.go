// Command bop is a SQL server that PostgreSQL and MySQL clients talk to, and the tool that manages it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/bop-platform/bop/apps/bop/internal/config"
)

// cli is the command line.
type cli struct {
	Serve   serveCmd   `cmd:"" help:"Run the server."`
	DB      dbCmd      `cmd:"" name:"db" help:"Create, list, import, export, snapshot, restore, verify and rekey databases."`
	Key     keyCmd     `cmd:"" help:"Make keys for encryption at rest."`
	Cluster clusterCmd `cmd:"" help:"Show and change the servers of a cluster."`
	Log     logCmd     `cmd:"" name:"log" help:"Inspect, verify, seal and hydrate logs."`
	User    userCmd    `cmd:"" help:"Manage the users in an authentication file."`
	Config  configCmd  `cmd:"" help:"Show the settings a server would run with."`
	Version versionCmd `cmd:"" help:"Show the version of bop and of the SQLite in it."`
}

// env is what commands are given beside their flags.
type env struct {
	out, err io.Writer
	in       *os.File
	given    map[string]bool // flags named on the command line
	file     *config.File    // the configuration file, if any
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, stop, os.Args[1:], &env{out: os.Stdout, err: os.Stderr, in: os.Stdin})
	stop()
	os.Exit(code)
}

// run parses and runs one command; it returns the process's exit status. stop gives the signals back to the default
// action, so that a second one ends a process that hangs in its shutdown.
func run(ctx context.Context, stop func(), args []string, e *env) int {
	go func() {
		<-ctx.Done()
		stop()
	}()
	var err error
	if e.file, err = config.Find(configFlag(args)); err != nil {
		fmt.Fprintln(e.err, "bop:", err)
		return 2
	}
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("bop"), kong.Description("A SQL database for PostgreSQL and MySQL clients, in one binary."),
		kong.Writers(e.out, e.err), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Resolvers(e.file), kong.Vars{"target": targetHelp}, kong.Exit(func(code int) { exited = code; panic(exit{}) }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(e))
	if err != nil {
		fmt.Fprintln(e.err, "bop:", err)
		return 2
	}
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(exit); !ok {
				panic(p)
			}
		}
	}()
	parsed, err := parse(parser, args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintln(e.err, "bop:", err)
		return 2
	}
	e.given = map[string]bool{}
	for _, p := range parsed.Path {
		if p.Flag != nil {
			e.given[p.Flag.Name] = true
		}
	}
	if err := parsed.Run(); err != nil {
		fmt.Fprintln(e.err, "bop:", err)
		return 1
	}
	return 0
}

// exit unwinds out of kong when it prints help: kong calls its exit function in the middle of parsing.
type exit struct{}

func parse(parser *kong.Kong, args []string) (parsed *kong.Context, err error) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(exit); !ok {
				panic(p)
			}
		}
	}()
	return parser.Parse(args)
}

// configFlag finds --config before the real parse, which needs the file.
func configFlag(args []string) string {
	for i, a := range args {
		switch {
		case a == "--":
			return os.Getenv("BOP_CONFIG")
		case a == "--config" && i+1 < len(args):
			return args[i+1]
		case len(a) > 9 && a[:9] == "--config=":
			return a[9:]
		}
	}
	return os.Getenv("BOP_CONFIG")
}
