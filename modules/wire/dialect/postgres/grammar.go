package postgres

import (
	"container/list"
	"fmt"
	"runtime"
	"sync"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/wasilibs/go-pgquery/parser"
)

// An instance of the grammar parses one text at a time, costs more than a second to make and then holds some tens of
// megabytes. The library makes one whenever none is idle; grammars bounds that: texts queue for the instances there
// are, and only when the queue has not moved for patience is one more made, in the background, up to a limit.
const patience = 20 * time.Millisecond

var grammars = struct {
	idle    chan struct{} // one token for each instance
	mu      sync.Mutex
	made    int
	growing bool
	limit   int
}{idle: make(chan struct{}, 64), limit: min(runtime.GOMAXPROCS(0), 4)}

// The library puts an instance back into its pool even when it trapped, after which its stack pointer is wrong for
// good. These are that pool and its lock, so that a broken instance can be thrown away.
//
//go:linkname abiPool github.com/wasilibs/go-pgquery/parser.abiPool
var abiPool *list.List

//go:linkname abiPoolMu github.com/wasilibs/go-pgquery/parser.abiPoolMu
var abiPoolMu sync.Mutex

// brokenError says that an instance trapped.
type brokenError struct{ cause any }

func (e *brokenError) Error() string { return fmt.Sprint("the grammar failed: ", e.cause) }

// raw parses text to protobuf bytes on one of the instances.
func raw(text string) ([]byte, error) {
	take()
	return run(text)
}

// take waits for an instance.
func take() {
	select {
	case <-grammars.idle:
		return
	default:
	}
	if first() {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-grammars.idle:
		return
	case <-timer.C:
		grow()
	}
	<-grammars.idle
}

// first claims the making of the first instance.
func first() bool {
	grammars.mu.Lock()
	defer grammars.mu.Unlock()
	if grammars.made > 0 {
		return false
	}
	grammars.made = 1
	return true
}

// grow adds an instance. The library makes one when its pool is empty, so all others are kept busy for the moment in
// which the new one is asked for; if one of them was too quick, no instance is made now but by the next text that finds
// the pool empty.
func grow() {
	grammars.mu.Lock()
	defer grammars.mu.Unlock()
	if grammars.growing || grammars.made >= grammars.limit {
		return
	}
	grammars.growing = true
	go func() {
		grammars.mu.Lock()
		n := grammars.made
		grammars.mu.Unlock()
		for range n {
			<-grammars.idle
		}
		busy := warmText()
		var done sync.WaitGroup
		for range n + 1 {
			done.Go(func() { run(busy) }) // each gives one token back, the one that makes an instance much later
		}
		done.Wait()
		grammars.mu.Lock()
		grammars.made++
		grammars.growing = false
		grammars.mu.Unlock()
	}()
}

// warmText is a statement that takes the grammar some milliseconds.
func warmText() string {
	b := []byte("SELECT 1")
	for range 2000 {
		b = append(b, ", a + b"...)
	}
	return string(b)
}

// run parses on an instance that was taken, and gives it back.
func run(text string) ([]byte, error) {
	defer func() { grammars.idle <- struct{}{} }()
	return parseOn(text)
}

// parseOn parses on some instance; one that traps is thrown away, with those that are idle.
func parseOn(text string) (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			abiPoolMu.Lock()
			abiPool.Init()
			abiPoolMu.Unlock()
			b, err = nil, &brokenError{p}
		}
	}()
	return parser.ParseToProtobuf(text)
}
