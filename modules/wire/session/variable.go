package session

// Variable returns a variable of the session by its lower-case name; ok is false if there is none.
func (x *Session) Variable(name string) (value string, ok bool) { return x.vars.get(name) }
