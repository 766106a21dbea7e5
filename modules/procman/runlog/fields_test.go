package runlog

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestParseLine(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 5e8, time.UTC)
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for _, c := range []struct {
		name string
		line string
		want Fields
		kind Kind
	}{
		{"text is plain", "hello world", Fields{}, Plain},
		{"a sentence with a pair is plain", "retrying with level=2 now", Fields{}, Plain},
		{"pairs without a known key are plain", "a=1 b=2", Fields{}, Plain},
		{"an empty line is plain", "", Fields{}, Plain},
		{"half an object is plain", `{"level":"info","msg":"a`, Fields{}, Plain},
		{"slog's JSON", `{"time":"2026-11-22T10:00:00.5Z","level":"WARN","msg":"a \"b\" \u00e9\ud83d\ude00","n":{"level":"x"}}`,
			Fields{Level: Warn, Time: at, Message: `a "b" é😀`}, JSON},
		{"pino's", `{"level":50,"time":1795341600500,"msg":"x"}`, Fields{Level: Error, Time: at, Message: "x"}, JSON},
		{"zap's", `{"level":"dpanic","ts":1795341600.5,"msg":"x"}`, Fields{Level: Fatal, Time: at, Message: "x"}, JSON},
		{"OpenTelemetry's", `{"severity_number":17,"message":"x","traceId":"` + trace + `","spanId":"` + span + `"}`,
			Fields{Level: Error, Message: "x", TraceID: trace, SpanID: span}, JSON},
		{"ECS's, flat or nested", `{"log.level":"error","trace":{"id":"` + trace + `"},"span.id":"` + span + `"}`,
			Fields{Level: Error, TraceID: trace, SpanID: span}, JSON},
		{"Datadog's", `{"dd":{"trace_id":"123","span_id":456},"severity":"notice"}`,
			Fields{Level: Info, TraceID: "123", SpanID: "456"}, JSON},
		{"a traceparent", `{"traceparent":"00-` + trace + `-` + span + `-01"}`, Fields{TraceID: trace, SpanID: span}, JSON},
		{"a wrong traceparent", `{"traceparent":"00-x"}`, Fields{}, JSON},
		{"the first of two", `{"msg":"a","message":"b"}`, Fields{Message: "a"}, JSON},
		{"logfmt", `time=2026-11-22T10:00:00.5Z level=info msg="a \"b\"" trace_id=` + trace + ` n=`,
			Fields{Level: Info, Time: at, Message: `a "b"`, TraceID: trace}, Logfmt},
		{"logfmt with a value that lacks quotes", `lvl=eror msg=no such file`, Fields{Level: Error, Message: "no"}, Logfmt},
		{"an open quote is plain", `level=info msg="a`, Fields{}, Plain},
		{"a long line is plain", `{"msg":"` + strings.Repeat("x", MaxParse) + `"}`, Fields{}, Plain},
		{"deep nesting is plain", `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, Fields{}, Plain},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, kind := ParseLine([]byte(c.line))
			same := f.Time.Equal(c.want.Time)
			f.Time = c.want.Time
			if kind != c.kind || f != c.want || !same {
				t.Errorf("%s %+v (time %v), want %s %+v", kind, f, same, c.kind, c.want)
			}
		})
	}
}

func FuzzParseLine(f *testing.F) {
	for _, s := range []string{
		`{"level":"info","msg":"a\u00e9\ud800\udc00","n":[1,-2.5e+3,true,null],"dd":{"trace_id":"1"}}`,
		`level=info msg="a \" b" ts=1e300 x`, `{"time":"NaN"}`, "=", `a="\`, `{"a":"\ud800\u12"}`, `{"":{"":1}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fields, kind := ParseLine(b)
		if kind == Plain && fields != (Fields{}) {
			t.Fatalf("plain with %+v", fields)
		}
		if kind == JSON && !json.Valid(b) {
			t.Fatal("JSON that isn't")
		}
		object := strings.HasPrefix(strings.Trim(string(b), " \t\r\n"), "{")
		if kind != JSON && object && len(b) <= MaxParse && json.Valid(b) && strings.Count(string(b), "{")+strings.Count(string(b), "[") < maxDepth {
			t.Fatal("JSON was not recognised")
		}
	})
}
