package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/apps/bop/internal/config"
)

type dbRekeyCmd struct {
	remoteFlags
	Name   string `arg:"" optional:"" help:"Name of the database."`
	All    bool   `name:"all" help:"All databases, the system database among them."`
	Wrap   bool   `name:"wrap" help:"Wrap the data keys by the current key of the key file, its first one. It takes a moment and changes nothing else."`
	Data   bool   `name:"data" help:"Draw a new data key, by which everything is sealed anew in the background. A database in the clear is encrypted."`
	Rate   string `name:"rate" placeholder:"SIZE/s" help:"Bound of how fast pages are sealed anew, e.g. 20MiB/s. Default: as fast as statements let it."`
	Wait   bool   `name:"wait" help:"Wait until the leader has sealed all of its pages anew. If you don't, or stop waiting, it goes on all the same."`
	Status bool   `name:"status" help:"Change nothing and show by what the database is sealed, and how far the last change is on the server that is asked."`
}

func (c *dbRekeyCmd) Help() string {
	return `The database serves meanwhile. What the bucket has is sealed anew by the next full snapshot; older objects keep their keys until they expire.

Example:
  bop key new 2027 --file keys           # on each server
  bop db rekey --all --wrap
  bop db rekey shop --data --rate 20MiB/s --wait
  bop db rekey shop --status`
}

func (c *dbRekeyCmd) Run(ctx context.Context, e *env) error {
	switch {
	case c.All == (c.Name != ""):
		return errors.New("name a database, or give --all, and not both")
	case c.Status && (c.Wrap || c.Data || c.Wait || c.Rate != ""):
		return errors.New("--status changes nothing: give it alone")
	case !c.Status && !c.Wrap && !c.Data:
		return errors.New("say which keys are changed: --wrap (data keys are wrapped by the key file's first key), --data (a new data key seals everything anew), or both")
	}
	rate, err := parseRate(c.Rate)
	if err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	var list []admin.RekeyStatus
	if c.Status {
		list, err = client.RekeyStatus(ctx, c.Name)
	} else {
		list, err = client.Rekey(ctx, c.Name, admin.RekeyOptions{Wrap: c.Wrap, Data: c.Data, BytesPerSecond: rate, Wait: c.Wait}, newProgress(e.err, "sealed", 0).set)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(e.out).Encode(map[string]any{"databases": list})
	} else {
		err = printKeys(e, list)
	}
	failed := 0
	for _, s := range list {
		if s.Error != "" {
			failed++
		}
	}
	if err == nil && failed > 0 {
		err = fmt.Errorf("the keys of %d of %d databases weren't changed: see why above, and give the command again", failed, len(list))
	}
	return err
}

// parseRate reads SIZE/s; "" is no bound.
func parseRate(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := config.ParseSize(strings.TrimSuffix(text, "/s"))
	if err != nil || n == 0 {
		return 0, fmt.Errorf("--rate %q: give a size for each second, e.g. 20MiB/s", text)
	}
	return int64(n), nil
}

func printKeys(e *env, list []admin.RekeyStatus) error {
	w := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tDATA KEY\tWRAPPED BY\tSEALED ANEW\tOLD IN BUCKET")
	for _, s := range list {
		key, by := "none: in the clear", "-"
		for _, k := range s.Keys {
			if k.Current {
				key, by = fmt.Sprintf("%d, of %s", k.ID, k.Created.Local().Format("2006-01-02")), k.WrappedBy
			}
		}
		pages := "all"
		switch {
		case !s.Encrypted:
			pages = "-"
		case s.Running && s.Total > 0:
			pages = fmt.Sprintf("%d %%", 100*s.Done/s.Total)
		case s.Running:
			pages = "begun"
		}
		if s.Error != "" {
			pages = "failed: " + s.Error
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\n", s.Name, key, by, pages, s.Stale)
	}
	return w.Flush()
}
