package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/bop-platform/bop/tools/internal/process"
)

var failedTransactions = regexp.MustCompile(`number of failed transactions: (\d+)`)

// pgbench runs its TPC-B-like script in the three protocols and checks the invariant that the benchmark defines.
func pgbench(ctx context.Context, b *bench) error {
	return b.with(ctx, nil, func(s *server) error {
		host, port := process.Split(s.PG)
		base := []string{"-h", host, "-p", port, "-U", "bop"}
		if _, err := command(ctx, "", nil, "pgbench", append(base, "-i", "-s", "10", "-q", "bop")...); err != nil {
			return err
		}
		done := 0
		for _, protocol := range []string{"simple", "extended", "prepared"} {
			out, err := command(ctx, "", nil, "pgbench", append(base, "-M", protocol, "-c", "8", "-j", "2", "-T", "8", "-n", "bop")...)
			if err != nil {
				return err
			}
			m := failedTransactions.FindStringSubmatch(out)
			if m == nil || m[1] != "0" {
				return fmt.Errorf("pgbench -M %s: failed transactions\n%s", protocol, out)
			}
			n, err := processed(out)
			if err != nil {
				return fmt.Errorf("pgbench -M %s: %w", protocol, err)
			}
			done += n
		}
		out, err := psql(ctx, s.PG, "bop", `SELECT (SELECT count(*) FROM pgbench_history),
			(SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history),
			(SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history),
			(SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(delta) FROM pgbench_history);`)
		if err != nil {
			return err
		}
		return expect("the TPC-B sums", out, fmt.Sprintf("%d|t|t|t", done))
	})
}

var processedTransactions = regexp.MustCompile(`number of transactions actually processed: (\d+)`)

func processed(out string) (int, error) {
	m := processedTransactions.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("no count of transactions in\n%s", out)
	}
	return strconv.Atoi(m[1])
}

var ignoredErrors = regexp.MustCompile(`ignored errors:\s+(\d+)`)

func sysbench(ctx context.Context, b *bench) error {
	return b.with(ctx, nil, func(s *server) error {
		host, port := process.Split(s.MySQL)
		base := []string{"oltp_read_write", "--db-driver=mysql", "--mysql-host=" + host, "--mysql-port=" + port, "--mysql-user=bop",
			"--mysql-db=bop", "--mysql-ssl=off", "--tables=4", "--table-size=10000", "--threads=8", "--time=10", "--report-interval=0"}
		if _, err := command(ctx, "", nil, "sysbench", append(base, "prepare")...); err != nil {
			return err
		}
		for _, mode := range []string{"auto", "disable"} { // server-side prepared statements, and text
			out, err := command(ctx, "", nil, "sysbench", append(base, "--db-ps-mode="+mode, "run")...)
			if err != nil {
				return err
			}
			m := ignoredErrors.FindStringSubmatch(out)
			if m == nil || m[1] != "0" {
				return fmt.Errorf("sysbench --db-ps-mode=%s had errors\n%s", mode, out)
			}
		}
		out, err := mysql(ctx, s.MySQL, "bop", "SELECT COUNT(*) FROM sbtest1; SELECT COUNT(*) FROM sbtest4;")
		if err != nil {
			return err
		}
		return expect("rows afterwards", out, "10000\n10000")
	})
}
