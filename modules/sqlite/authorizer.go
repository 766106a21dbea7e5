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
	case sqlite3.AUTH_ATTACH:
		if !attachable(name3rd) {
			return sqlite3.AUTH_DENY
		}
		clear(c.schemas)
	case sqlite3.AUTH_DETACH:
		clear(c.schemas)
	default:
		if !c.ours(schema) {
			return sqlite3.AUTH_DENY
		}
	}
	if c.authorizer != nil {
		return c.authorizer(action, name3rd, name4th, schema, inner)
	}
	return sqlite3.AUTH_OK
}

// attachable allows names of databases and private ones. URIs could name another VFS.
func attachable(name string) bool { return !strings.HasPrefix(strings.ToLower(name), "file:") }

// ours tells whether an attached schema is one of our files. The name of a file that is an expression isn't known when
// ATTACH is prepared, so it may have opened another; nothing of it is ever read.
func (c *Conn) ours(schema string) bool {
	if schema == "" || schema == "main" || schema == "temp" {
		return true
	}
	ok, known := c.schemas[schema]
	if !known {
		name, err := c.raw.FileControl(schema, sqlite3.FCNTL_VFSNAME)
		ok = err == nil && name == c.db.host.vfsName
		if c.schemas == nil {
			c.schemas = map[string]bool{}
		}
		c.schemas[schema] = ok
	}
	return ok
}
