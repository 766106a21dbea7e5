// Package ir is the tree that both dialects are parsed into. It holds what a statement means and nothing of how its
// dialect writes it; where one word means two things in the two dialects (||, LIKE, division, integer types, name
// folding), the parser already chose the operator or function by its own name. Names are folded by the parser as the
// dialect folds them; string literals are unescaped.
//
// The packages dialect/postgres and dialect/mysql build trees, package plan resolves and prints them as SQLite's SQL.
package ir
