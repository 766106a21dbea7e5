package policy

import "slices"

// Group is processes that restart together.
type Group struct {
	// Mode is which of them restart. Default: OneForOne.
	Mode Mode `json:"mode"`
	// Members are their names in the order in which they start. None is there twice.
	Members []string `json:"members"`
}

// Affected is who has to be stopped when failed is down, the last one first, and who is started then, in order. failed is
// among those that start, but not among those that stop, for it is down. Both are empty if it is no member. What a person
// stopped is listed too: the caller leaves it out.
func (g Group) Affected(failed string) (stop, start []string) {
	i := slices.Index(g.Members, failed)
	switch {
	case i < 0:
		return nil, nil
	case g.Mode == RestForOne:
		start = slices.Clone(g.Members[i:])
	case g.Mode == OneForAll:
		start = slices.Clone(g.Members)
	default:
		return nil, []string{failed}
	}
	for _, m := range slices.Backward(start) {
		if m != failed {
			stop = append(stop, m)
		}
	}
	return stop, start
}

// Place is where a process is. Group is empty if it has none.
type Place struct {
	Namespace string `json:"namespace"`
	Group     string `json:"group,omitempty"`
	Process   string `json:"process"`
}

// Level is how much of the system is meant.
type Level string

// The levels.
const (
	LevelGroup     Level = "group"
	LevelNamespace Level = "namespace"
)

// Measure is what a level does when it is asked to decide.
type Measure string

// The measures.
const (
	RestartGroup  Measure = "restart-group"  // all of it, as by OneForAll, if the group's own Tracker allows one more
	StopNamespace Measure = "stop-namespace" // there is nobody left who could help
)

// Escalation is one step up.
type Escalation struct {
	Level   Level   `json:"level"`
	Name    string  `json:"name"`
	Measure Measure `json:"measure"`
}

// Escalations are the steps up from p, the nearest first. The next one is taken when the Tracker of the one before says
// DoFail or DoEscalate. The last is always the namespace.
func (p Place) Escalations() []Escalation {
	var e []Escalation
	if p.Group != "" {
		e = append(e, Escalation{LevelGroup, p.Group, RestartGroup})
	}
	return append(e, Escalation{LevelNamespace, p.Namespace, StopNamespace})
}
