package sqlite

import (
	"testing"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

// Closing a database's views waits, with mu held, for those that load, and these ask for the keys.
func TestTheKeysAreToldWhileViewsAreBeingClosed(t *testing.T) {
	var c cold
	k := new(crypt.Keyring)
	c.keyed(k)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keyring() != k { // it would wait for ever
		t.Fatal("they are others")
	}
}
