package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/bop-platform/bop/tools/internal/process"
)

// cryptCostByPort has pgbench compare a server that has no keys with one that has.
func cryptCostByPort(ctx context.Context, o options) (string, error) {
	pgbench, err := exec.LookPath("pgbench")
	if err != nil {
		return "pgbench isn't installed.\n", nil
	}
	dir, remove, err := workDir()
	if err != nil {
		return "", err
	}
	defer remove()
	key := make([]byte, 32)
	rand.Read(key) // never fails
	keyFile := filepath.Join(dir, "key")
	if err := os.WriteFile(keyFile, []byte("bench "+base64.StdEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
		return "", err
	}
	var servers []*process.Bop
	for _, flags := range [][]string{nil, {"--key-file", keyFile}} {
		s, err := process.StartBop(ctx, o.bop, filepath.Join(dir, strconv.Itoa(len(servers))), append(flags, "--log-level", "warn", "--mysql", "off", "--raft", "127.0.0.1:0")...)
		if err != nil {
			return "", err
		}
		defer s.Kill()
		servers = append(servers, s)
		if _, err := runBench(ctx, pgbench, s, "-i", "-I", "dtgp", "-s", strconv.Itoa(pgScale)); err != nil {
			return "", err
		}
	}
	var table strings.Builder
	fmt.Fprintf(&table, "pgbench, scale %d, prepared statements; pgbench and the servers share the cores. Rounds take turns; the ratio is\nthe median over the rounds.\n\n| work | clients | kept | per second | mean latency | ratio (target 0.95) |\n|---|---|---|---|---|---|\n", pgScale)
	for _, w := range []struct{ name, script string }{{"TPC-B-like", "tpcb-like"}, {"point SELECT", "select-only"}} {
		for _, clients := range []int{1, 16} {
			var rates, waits, ratios [2][]float64
			for n := range 3*o.rounds + 1 {
				var tps [2]float64
				for i := range servers {
					i = (i + n) % 2
					out, err := runBench(ctx, pgbench, servers[i], "-n", "-b", w.script, "-M", "prepared", "-c", strconv.Itoa(clients), "-j", "1",
						"-T", strconv.Itoa(max(1, int(o.duration.Seconds()))), "-s", strconv.Itoa(pgScale))
					if err != nil {
						return "", err
					}
					latency, err := figure(out, latencyLine)
					if err == nil {
						tps[i], err = figure(out, tpsLine)
					}
					if err != nil {
						return "", err
					}
					if n > 0 { // the first round warms up
						rates[i], waits[i] = append(rates[i], tps[i]), append(waits[i], latency)
					}
				}
				for i := range tps {
					if n > 0 {
						ratios[i] = append(ratios[i], tps[i]/tps[0])
					}
				}
			}
			for i := range servers {
				fmt.Fprintf(&table, "| %s | %d | %s | %.0f | %.3f ms | %.3f |\n", w.name, clients, sealing(i == 1), middle(rates[i]), middle(waits[i]), middle(ratios[i]))
			}
		}
	}
	return table.String(), nil
}

var (
	latencyLine = regexp.MustCompile(`latency average = ([0-9.]+) ms`)
	tpsLine     = regexp.MustCompile(`tps = ([0-9.]+)`)
)

// figure reads one of the numbers that pgbench prints.
func figure(out string, line *regexp.Regexp) (float64, error) {
	m := line.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("pgbench printed nothing like %s: %s", line, out)
	}
	return strconv.ParseFloat(m[1], 64)
}

func runBench(ctx context.Context, pgbench string, s *process.Bop, args ...string) (string, error) {
	host, port := process.Split(s.PG)
	c := exec.CommandContext(ctx, pgbench, append(args, "-h", host, "-p", port, "-U", "bop", "bop")...)
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s\n%s", c, err, out, s.Log())
	}
	return string(out), nil
}
