package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/ncruces/go-sqlite3"
)

type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *versionCmd) Help() string { return "Example:\n  bop version --json" }

// build says which bop this is.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	SQLite  string `json:"sqlite"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// release is set by the linker (make build); a binary of go install knows its module's version.
var release string

func buildInfo() build {
	b := build{Version: release, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if b.Version == "" {
			b.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Commit = s.Value
			}
		}
	}
	if c, err := sqlite3.Open(":memory:"); err == nil {
		if stmt, _, err := c.Prepare("SELECT sqlite_version()"); err == nil {
			if stmt.Step() {
				b.SQLite = stmt.ColumnText(0)
			}
			stmt.Close()
		}
		c.Close()
	}
	return b
}

func (c *versionCmd) Run(e *env) error {
	b := buildInfo()
	if c.JSON {
		return json.NewEncoder(e.out).Encode(b)
	}
	_, err := fmt.Fprintf(e.out, "bop %s (SQLite %s, %s, %s/%s)\n", b.Version, b.SQLite, b.Go, b.OS, b.Arch)
	return err
}
