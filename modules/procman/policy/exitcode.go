package policy

import (
	"fmt"
	"syscall"
)

// What a shell says when it could not run a command, and from where on a code is a signal.
const (
	CodeNotExecutable = 126
	CodeNotFound      = 127
	CodeSignalBase    = 128
)

// These are known to all systems that Go has.
var signalNames = map[syscall.Signal]string{
	syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGILL: "SIGILL",
	syscall.SIGTRAP: "SIGTRAP", syscall.SIGABRT: "SIGABRT", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE",
	syscall.SIGKILL: "SIGKILL", syscall.SIGSEGV: "SIGSEGV", syscall.SIGPIPE: "SIGPIPE", syscall.SIGALRM: "SIGALRM",
	syscall.SIGTERM: "SIGTERM",
}

// SignalName is the name of a signal, such as SIGKILL, or "signal 44".
func SignalName(signal int) string {
	if s := signalNames[syscall.Signal(signal)]; s != "" {
		return s
	}
	return fmt.Sprintf("signal %d", signal)
}

// ShellCode is the code that a shell shows: code, or 128 and the signal's number if a signal ended it.
func ShellCode(code, signal int) int {
	if signal > 0 {
		return CodeSignalBase + signal
	}
	return code
}

// CodeSignal is the signal that a code stands for by the convention of the shells. It is a guess: a program may exit with
// 130 for reasons of its own.
func CodeSignal(code int) (signal int, ok bool) {
	if code <= CodeSignalBase || code > CodeSignalBase+64 {
		return 0, false
	}
	return code - CodeSignalBase, true
}

// ExplainCode is what a code means by the convention of the shells, without a full stop; "" if it means nothing there.
func ExplainCode(code int) string {
	switch signal, ok := CodeSignal(code); {
	case code == CodeNotExecutable:
		return "the command was found but could not be run: it may lack the x bit or its interpreter"
	case code == CodeNotFound:
		return "the command was not found: look at PATH and at its spelling"
	case ok:
		return "a command that it ran was ended by " + SignalName(signal)
	}
	return ""
}
