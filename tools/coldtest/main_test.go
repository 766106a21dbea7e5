package coldtest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/sqlite"
)

var (
	server     = flag.String("server", "", "versitygw's binary: a real S3 server")
	litestream = flag.String("litestream", "", "Litestream's binary")
	kills      = flag.Int("kills", 8, "how often a child is killed")
	faults     = flag.Duration("faults", 5*time.Second, "how long the network is bad")
	large      = flag.Bool("large", false, "databases of more than 2 GiB too; takes minutes")
	seed       = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of everything that is random")
	verbose    = flag.Bool("log", false, "write what the databases log to stderr")
)

// test is one that needs a binary.
type test struct {
	name string
	run  func(*testing.T)
}

var withServer, withLitestream, withBoth []test

func TestMain(m *testing.M) {
	if task := os.Getenv(childTask); task != "" {
		if err := child(task); err != nil {
			fmt.Fprintln(os.Stderr, err)
			if p := (*sqlite.PanicError)(nil); errors.As(err, &p) {
				os.Stderr.Write(p.Stack)
			}
			os.Exit(1)
		}
		os.Exit(0)
	}
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") && name != "AWS_CA_BUNDLE" {
			os.Unsetenv(name)
		}
	}
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	flag.Parse()
	fmt.Println("seed", *seed)
	os.Exit(m.Run())
}

func TestARealServer(t *testing.T) {
	if *server == "" {
		return
	}
	for _, c := range withServer {
		t.Run(c.name, c.run)
	}
}

func TestLitestream(t *testing.T) {
	if *litestream == "" {
		return
	}
	for _, c := range withLitestream {
		t.Run(c.name, c.run)
	}
	if *server == "" {
		return
	}
	for _, c := range withBoth {
		t.Run(c.name, c.run)
	}
}
