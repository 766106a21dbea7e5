package runlog

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// Kind is the form of a line.
type Kind uint8

// The kinds.
const (
	// Plain is text without a known form.
	Plain Kind = iota
	// JSON is one JSON object.
	JSON
	// Logfmt is key=value pairs of which one has a known key.
	Logfmt
)

func (k Kind) String() string {
	if k > Logfmt {
		return "kind(" + strconv.Itoa(int(k)) + ")"
	}
	return [...]string{"plain", "json", "logfmt"}[k]
}

// Level is how serious a line says it is.
type Level uint8

// The levels, in order of seriousness.
const (
	Unknown Level = iota
	Trace
	Debug
	Info
	Warn
	Error
	Fatal
)

func (l Level) String() string {
	if l > Fatal {
		return "level(" + strconv.Itoa(int(l)) + ")"
	}
	return [...]string{"unknown", "trace", "debug", "info", "warn", "error", "fatal"}[l]
}

// Fields are what a structured line says of itself. What it doesn't say, or says in a form that isn't known, is zero.
type Fields struct {
	Level   Level
	Time    time.Time
	Message string
	// TraceID and SpanID are as the line has them: hexadecimal of W3C, or decimal of Datadog.
	TraceID, SpanID string
}

// MaxParse is the longest line, in bytes, in which ParseLine looks for fields.
const MaxParse = 64 << 10

// ParseLine finds the fields of a line that is a JSON object or logfmt; others, malformed and longer ones are Plain.
// Of a key that occurs twice the first counts. It never panics and keeps nothing of b.
func ParseLine(b []byte) (Fields, Kind) {
	var f Fields
	if len(b) > MaxParse {
		return f, Plain
	}
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0:
	case b[0] == '{':
		if parseJSON(b, &f) {
			return f, JSON
		}
	default:
		if parseLogfmt(b, &f) {
			return f, Logfmt
		}
	}
	return Fields{}, Plain
}

// maxID bounds what is taken for an id of a trace or span.
const maxID = 64

type field uint8

const (
	noField field = iota
	levelField
	numberField // severity_number of OpenTelemetry
	messageField
	timeField
	traceField
	spanField
	parentField
)

// fieldOf tells what a key means. Keys of nested objects are joined by dots.
func fieldOf(key []byte) field {
	switch string(key) {
	case "level", "lvl", "severity", "severity_text", "severityText", "log.level":
		return levelField
	case "severity_number", "severityNumber":
		return numberField
	case "msg", "message":
		return messageField
	case "time", "ts", "timestamp", "@timestamp":
		return timeField
	case "trace_id", "traceId", "traceID", "trace.id", "dd.trace_id":
		return traceField
	case "span_id", "spanId", "spanID", "span.id", "dd.span_id":
		return spanField
	case "traceparent":
		return parentField
	}
	return noField
}

// set takes a value, as text.
func (f *Fields) set(what field, v []byte, number bool) {
	switch what {
	case levelField, numberField:
		if f.Level == Unknown {
			f.Level = levelOf(v, number, what == numberField)
		}
	case messageField:
		if f.Message == "" {
			f.Message = string(v)
		}
	case timeField:
		if f.Time.IsZero() {
			f.Time = timeOf(v)
		}
	case traceField:
		if f.TraceID == "" && len(v) <= maxID {
			f.TraceID = string(v)
		}
	case spanField:
		if f.SpanID == "" && len(v) <= maxID {
			f.SpanID = string(v)
		}
	case parentField:
		f.setParent(v)
	}
}

// setParent takes "00-<32 hex digits>-<16 hex digits>-<2 hex digits>".
func (f *Fields) setParent(v []byte) {
	if len(v) < 55 || v[2] != '-' || v[35] != '-' || v[52] != '-' || !hex(v[:2]) || !hex(v[3:35]) || !hex(v[36:52]) {
		return
	}
	if f.TraceID == "" {
		f.TraceID = string(v[3:35])
	}
	if f.SpanID == "" {
		f.SpanID = string(v[36:52])
	}
}

func hex(v []byte) bool {
	for _, c := range v {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}

// levels has the names that loggers use, in lower case.
var levels = map[string]Level{
	"trace": Trace, "trc": Trace, "finest": Trace, "verbose": Trace,
	"debug": Debug, "dbg": Debug, "d": Debug, "fine": Debug,
	"info": Info, "inf": Info, "i": Info, "information": Info, "informational": Info, "notice": Info,
	"warn": Warn, "wrn": Warn, "w": Warn, "warning": Warn,
	"error": Error, "err": Error, "e": Error, "eror": Error, "severe": Error,
	"fatal": Fatal, "ftl": Fatal, "f": Fatal, "panic": Fatal, "dpanic": Fatal, "critical": Fatal, "crit": Fatal,
	"alert": Fatal, "emerg": Fatal, "emergency": Fatal,
}

// levelOf reads a name; or a number of 1 to 24 as OpenTelemetry counts, else 10 to 60 as bunyan and pino do.
func levelOf(v []byte, number, otel bool) Level {
	if len(v) > 16 {
		return Unknown
	}
	n, err := strconv.Atoi(string(v))
	switch {
	case err != nil:
		name := strings.ToLower(string(v))
		if i := strings.IndexAny(name, "+-"); i > 0 { // slog says "INFO+2"
			name = name[:i]
		}
		return levels[name]
	case otel && n >= 1 && n <= 24:
		return Level((n-1)/4) + Trace
	case !otel && number && n >= 10 && n <= 60:
		return Level(n/10-1) + Trace
	}
	return Unknown
}

var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05,999999999", "2006-01-02T15:04:05.999999999", "2006/01/02 15:04:05.999999999",
}

// timeOf reads a date, or seconds, milli-, micro- or nanoseconds since 1970, told apart by their size.
func timeOf(v []byte) time.Time {
	if len(v) == 0 || len(v) > 40 {
		return time.Time{}
	}
	s := string(v)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		switch {
		case n <= 0:
			return time.Time{}
		case n < 1e11:
			return time.Unix(n, 0)
		case n < 1e14:
			return time.UnixMilli(n)
		case n < 1e17:
			return time.UnixMicro(n)
		}
		return time.Unix(0, n)
	}
	if x, err := strconv.ParseFloat(s, 64); err == nil {
		switch {
		case !(x > 0 && x < 1e14): // also not a number
			return time.Time{}
		case x >= 1e11:
			return time.UnixMicro(int64(x * 1e3))
		}
		return time.UnixMicro(int64(x * 1e6)) // a float has no better
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}
