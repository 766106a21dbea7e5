package sqlite

import (
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// Authorizer decides what a statement may do while it is prepared, as sqlite3_set_authorizer describes.
type Authorizer = func(action sqlite3.AuthorizerActionCode, name3rd, name4th, schema, inner string) sqlite3.AuthorizerReturnCode

// SetAuthorizer sets a callback of the caller's, nil for none, behind the connection's own, which keeps ATTACH and
// VACUUM INTO from the files of the host.
func (c *Conn) SetAuthorizer(a Authorizer) error {
	c.authorizer = a
	return c.raw.SetAuthorizer(c.authorize)
}

func (c *Conn) authorize(action sqlite3.AuthorizerActionCode, name3rd, name4th, schema, inner string) sqlite3.AuthorizerReturnCode {
	switch action {
	case sqlite3.AUTH_CREATE_TEMP_TABLE, sqlite3.AUTH_CREATE_TEMP_VIEW, sqlite3.AUTH_CREATE_TEMP_TRIGGER, sqlite3.AUTH_CREATE_TEMP_INDEX, sqlite3.AUTH_CREATE_VTABLE:
		c.mayHaveTemps = true
	case sqlite3.AUTH_READ:
	default: // CREATE TABLE temp.t isn't CREATE TEMP TABLE
		c.mayHaveTemps = c.mayHaveTemps || schema == "temp"
	}
	if action == sqlite3.AUTH_ATTACH && !c.attachable(name3rd) {
		return sqlite3.AUTH_DENY
	}
	if c.authorizer != nil {
		return c.authorizer(action, name3rd, name4th, schema, inner)
	}
	return sqlite3.AUTH_OK
}

// attachable allows names of databases, which our VFS resolves, and :memory:. A URI could name another VFS.
func (c *Conn) attachable(name string) bool {
	if name != "" {
		return !strings.HasPrefix(strings.ToLower(name), "file:")
	}
	// Either VACUUM attaches its temporary copy, or the name is an expression, whose value isn't known before it is
	// too late. While VACUUM runs, and only then, SQLite suspends the defensive mode.
	defensive, err := c.raw.Config(sqlite3.DBCONFIG_DEFENSIVE)
	return err == nil && !defensive
}
