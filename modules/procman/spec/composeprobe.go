package spec

import (
	"maps"
	"strconv"
	"strings"
	"time"
)

func (m *mapper) probe(c *composeProbe, vars map[string]string, path string) *Probe {
	if c == nil {
		return nil
	}
	positive := func(n, otherwise int) int {
		if n < 1 {
			return otherwise
		}
		return n
	}
	p := &Probe{
		Delay: seconds(max(0, c.InitialDelay)), Every: seconds(positive(c.Period, 10)), Timeout: seconds(positive(c.Timeout, 1)),
		Successes: positive(c.SuccessThreshold, 1), Failures: positive(c.FailureThreshold, 3),
	}
	if e := c.Exec; e != nil {
		p.Exec.Shell = m.text(e.Command, vars, join(path, "exec.command"))
		m.noted(join(path, "exec.working_dir"), "not supported: the probe runs in the process's folder")
	}
	if h := c.HTTPGet; h != nil {
		at := join(path, "http_get")
		p.HTTP = &HTTPProbe{
			Scheme: orDefault(m.template(h.Scheme, vars, join(at, "scheme")), "http"),
			Host:   orDefault(m.text(h.Host, vars, join(at, "host")), "127.0.0.1"),
			Port:   m.text(h.Port, vars, join(at, "port")),
			Path:   orDefault(m.text(h.Path, vars, join(at, "path")), "/"), Method: h.Method, Headers: maps.Clone(h.Headers), Status: h.StatusCode,
		}
		for name, v := range p.HTTP.Headers {
			p.HTTP.Headers[name] = m.text(v, vars, join(at, "headers"))
		}
		if p.HTTP.Port == "" && h.NumPort > 0 {
			p.HTTP.Port = strconv.Itoa(h.NumPort)
		}
		if p.HTTP.Port == "" {
			p.HTTP.Port = "80"
			if p.HTTP.Scheme == "https" {
				p.HTTP.Port = "443"
			}
		}
		if p.HTTP.Status == 0 {
			p.HTTP.Status = 200
		}
		if !strings.HasPrefix(p.HTTP.Path, "/") && !strings.HasPrefix(p.HTTP.Path, "$") {
			p.HTTP.Path = "/" + p.HTTP.Path
		}
	}
	return p
}

func (m *mapper) schedule(c *composeSchedule, path string) *Schedule {
	s := &Schedule{Cron: c.Cron, Timezone: c.Timezone, AtStart: c.RunOnStart, Overlap: "skip"}
	at := join(path, "interval")
	if c.Interval != "" && c.Cron != "" {
		m.noted(at, "has no effect: there is a cron")
	} else if c.Interval != "" {
		d, err := time.ParseDuration(c.Interval)
		if err != nil || d <= 0 {
			m.add(placeOf(m.where, at), at, "units are ms, s, m and h", `want a duration such as "10s", got %s`, strconv.Quote(short(c.Interval)))
			d = time.Second
		}
		s.Every = d
	}
	if c.MaxConcurrent > 1 {
		s.Overlap = "allow"
		m.noted(join(path, "max_concurrent"), "mapped differently: any number may run at once")
	}
	return s
}

func (m *mapper) logs(c *composeLog, path string) Logs {
	r := &c.Rotation
	l := Logs{MaxBytes: Size(r.MaxSizeMB) << 20, MaxAge: time.Duration(r.MaxAgeDays) * 24 * time.Hour}
	if r.MaxBackups > 0 {
		l.MaxFiles = r.MaxBackups + 1
	}
	if r.Compress {
		l.Compress = "gzip"
	}
	for _, key := range []string{
		"rotation.directory", "rotation.filename", "fields_order", "disable_json", "timestamp_format", "no_color",
		"no_metadata", "add_timestamp", "flush_each_line",
	} {
		m.noted(join(path, key), "not supported: logs are kept by BOP")
	}
	return l
}
