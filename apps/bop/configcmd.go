package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/bop-platform/bop/apps/bop/internal/config"
)

// configFile is the flag that names the configuration file; main reads it before the flags are parsed.
type configFile struct {
	Config string `name:"config" env:"BOP_CONFIG" placeholder:"FILE" help:"Configuration file in YAML, keys named like the flags. Default: bop.conf.yaml in this folder, if it is there."`
}

type configCmd struct {
	Print configPrintCmd `cmd:"" help:"Print each setting, its value and where the value came from."`
}

type configPrintCmd struct {
	config.Serve
	configFile
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *configPrintCmd) Help() string {
	return "Takes the flags of bop serve.\n\nExample:\n  BOP_PG=off bop config print --node n1"
}

func (c *configPrintCmd) Run(e *env) error {
	problem := c.Validate()
	settings := config.Settings(&c.Serve, e.given, e.file)
	if c.JSON {
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(settings); err != nil {
			return err
		}
		return problem
	}
	w := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	for _, s := range settings {
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, s.Value, s.Source)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return problem
}
