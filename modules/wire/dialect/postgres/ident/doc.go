// Package ident quotes PostgreSQL identifiers and literals, and knows the key words that make quotes needed.
package ident
