package policy

import (
	"fmt"
	"time"
)

// end is an Outcome and how long the run lived.
type end struct {
	Outcome
	ran   bool
	lived time.Duration
}

// say makes the sentence: what happened, and what follows.
func (e end) say(follows string, args ...any) string {
	what := e.what()
	if e.ran {
		what += " after " + short(e.lived)
	}
	return what + "; " + fmt.Sprintf(follows, args...) + "."
}

func (e end) what() string {
	switch e.Cause {
	case Clean:
		return "It ended with code 0"
	case OOM:
		return "It was killed for lack of memory"
	case Liveness:
		return "Its liveness probe failed and it was killed"
	case Watchdog:
		return "It missed its watchdog and was killed"
	case StoppedBy:
		return "It was stopped by " + someone(e.By)
	case Dependency:
		if e.By == "" {
			return "It was stopped for a dependency"
		}
		return "It was stopped for its dependency " + e.By
	case ManagerShutdown:
		return "It was stopped as the manager ends"
	case StartFailed:
		if e.Code != 0 {
			return fmt.Sprintf("It could not be started, code %d", e.Code)
		}
		return "It could not be started"
	case KilledOutside:
		if e.Signal > 0 {
			return "It was killed from outside by " + SignalName(e.Signal)
		}
		return "It was killed from outside"
	case Timeout:
		return "It took too long and was killed"
	}
	if e.Signal > 0 {
		return "It crashed by " + SignalName(e.Signal)
	}
	return fmt.Sprintf("It crashed with code %d", e.Code)
}

func someone(by string) string {
	if by == "" {
		return "someone"
	}
	return by
}

// tooMany is the begin of what follows when the window is full.
func tooMany(count int, per time.Duration) string {
	if count == 1 {
		return fmt.Sprintf("more than 1 restart within %s is too many: it", short(per))
	}
	return fmt.Sprintf("more than %d restarts within %s are too many: it", count, short(per))
}

func in(d time.Duration) string {
	if d <= 0 {
		return "at once"
	}
	return "in " + short(d)
}

// short is d as people say it: nobody wants nine digits.
func short(d time.Duration) string {
	switch {
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(100 * time.Millisecond)
	default:
		d = d.Round(time.Millisecond)
	}
	return d.String()
}
