package spec

import "time"

// Probe asks whether a process is ready or alive. Exactly one of Exec, HTTP, TCP, Log and Notify is set.
type Probe struct {
	// Exec is a command that ends with 0. Can hold ${VAR}.
	Exec Command `yaml:"exec" expand:"true"`
	// HTTP is a request that is answered. In a file also the URL alone.
	HTTP *HTTPProbe `yaml:"http"`
	// TCP is host:port, or the name of a port of the process, that takes a connection. Can hold ${VAR}.
	TCP string `yaml:"tcp" expand:"true"`
	// Log is a regular expression (RE2) that a line of output matches. For Ready only.
	Log string `yaml:"log"`
	// Notify waits for READY=1 on NOTIFY_SOCKET. For Ready only.
	Notify bool `yaml:"notify"`
	// Delay is the time before the first try. Default: 0.
	Delay time.Duration `yaml:"delay"`
	// Every is the time between two tries. Default: 5s.
	Every time.Duration `yaml:"every" default:"5s"`
	// Timeout is how long a try may take. Default: 2s.
	Timeout time.Duration `yaml:"timeout" default:"2s"`
	// Successes is how many tries in a row make it good. Default: 1.
	Successes int `yaml:"successes" default:"1" min:"1"`
	// Failures is how many tries in a row make it bad. Default: 3.
	Failures int `yaml:"failures" default:"3" min:"1"`
}

// HTTPProbe is a request: URL, or its parts.
type HTTPProbe struct {
	// URL is all of it. Can hold ${VAR}. Default: made of the parts.
	URL string `yaml:"url" expand:"true"`
	// Scheme is http or https. Default: http.
	Scheme string `yaml:"scheme" enum:"http|https"`
	// Host is the host. Can hold ${VAR}. Default: 127.0.0.1.
	Host string `yaml:"host" expand:"true"`
	// Port is a number, or the name of a port of the process. Can hold ${VAR}. Default: its first port.
	Port string `yaml:"port" expand:"true" loose:"true"`
	// Path begins with "/". Can hold ${VAR}. Default: /.
	Path string `yaml:"path" expand:"true"`
	// Method is the method. Default: GET.
	Method string `yaml:"method" enum:"GET|HEAD|POST|OPTIONS" default:"GET"`
	// Headers are sent. Values can hold ${VAR}. Default: none.
	Headers map[string]string `yaml:"headers" expand:"true"`
	// Status is the status that is good. Default: 0, any from 200 to 399.
	Status int `yaml:"status" min:"0" max:"599"`
}

// Policy is when a process is restarted.
type Policy string

// The policies.
const (
	Always    Policy = "always"     // whenever it ends
	OnFailure Policy = "on-failure" // when it ends with another code than 0, or by a signal
	Never     Policy = "never"
)

// Restart is when and how a process is restarted. A stop that a person asked for is never followed by a restart.
type Restart struct {
	// Policy is always, on-failure or never. Default: always for daemons, never for others.
	Policy Policy `yaml:"policy" enum:"always|on-failure|never"`
	// Backoff is the wait before a restart.
	Backoff Backoff `yaml:"backoff"`
	// ResetAfter is how long it has to run until the wait is Initial again; a written 0 is kept as -1, never.
	// Default: 60s.
	ResetAfter time.Duration `yaml:"reset_after" default:"60s" off:"-1"`
	// Window is how many restarts are too many.
	Window Window `yaml:"window"`
	// ByCode is what to do for some exit codes, whatever the policy is; the first that fits counts. Default: none.
	ByCode []CodeAction `yaml:"by_code"`
	// Group names processes that restart together. Default: none.
	Group string `yaml:"group" name:"true"`
	// GroupMode is which ones of the group restart with it: one-for-one (only it), rest-for-one (and those after it in
	// the file) or one-for-all. Default: one-for-one.
	GroupMode string `yaml:"group_mode" enum:"one-for-one|rest-for-one|one-for-all" default:"one-for-one"`
}

// Backoff is the wait before a restart. It grows from Initial by Factor up to Max.
type Backoff struct {
	// Initial is the first wait; a written 0 is kept as -1, none. Default: 1s.
	Initial time.Duration `yaml:"initial" default:"1s" off:"-1"`
	// Max is the longest wait. Default: 30s.
	Max time.Duration `yaml:"max" default:"30s"`
	// Factor is what the wait is multiplied with. Default: 2.
	Factor float64 `yaml:"factor" default:"2" min:"1" max:"100"`
	// Jitter is the share of the wait that is left to chance, from 0 to 1; a written 0 is kept as -1, none.
	// Default: 0.2.
	Jitter float64 `yaml:"jitter" default:"0.2" min:"0" max:"1" off:"-1"`
}

// Window is how many restarts in which time are too many.
type Window struct {
	// Count is how many restarts are still good; a written 0 is kept as -1, any number. Default: 5.
	Count int `yaml:"count" default:"5" min:"0" off:"-1"`
	// Per is the time they are counted in. Default: 60s.
	Per time.Duration `yaml:"per" default:"60s"`
	// Then is fail (it stays down, the others go on), hold (it is tried again when Per has passed) or escalate (its
	// group restarts; without a group the project stops). Default: fail.
	Then string `yaml:"then" enum:"fail|hold|escalate" default:"fail"`
}

// CodeAction is what to do after some exit codes.
type CodeAction struct {
	// Codes are exit codes; 128 and the signal's number for a signal. Needed.
	Codes []int `yaml:"codes" min:"0" max:"255"`
	// Action is restart, stop (its end is as wanted), fail or escalate. Needed.
	Action string `yaml:"action" enum:"restart|stop|fail|escalate"`
}

// Stop is how a process is stopped: Command or Signal, and a kill of all its processes after Timeout.
type Stop struct {
	// Command is run instead of the signal. Can hold ${VAR}. Default: none.
	Command Command `yaml:"command" expand:"true"`
	// Signal is sent to all its processes. Default: SIGTERM.
	Signal string `yaml:"signal" default:"SIGTERM"`
	// Timeout is the time until the kill; a written 0 is kept as -1, at once. Default: 10s.
	Timeout time.Duration `yaml:"timeout" default:"10s" off:"-1"`
	// Order is when it stops if the project does: smaller first, those with the same by Shutdown.Order. Default: 0.
	Order int `yaml:"order" min:"-1000" max:"1000"`
}
