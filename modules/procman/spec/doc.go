// Package spec is what a folder's processes are, as a person writes it: bop.yaml, process-compose.yaml or a Procfile,
// decoded strictly into one model that the supervisor takes.
//
// # Usage
//
//	p, err := spec.Load(dir)             // bop.yaml, else process-compose.yaml, else Procfile
//	r, err := p.Resolve(os.Environ())    // defaults, env files, ${VAR}
//	for _, proc := range r.Processes { start(proc.Argv(), proc.Env) }
//	for _, c := range spec.Diff(running, r) { apply(c) }
//
// # What it promises
//
// It starts nothing and reads nothing but the files that are named: the project's file, its override or base, its env
// files and, for Hash, its secrets. All faults of a file are told at once, up to MaxErrors, each an *Error with its
// line, column, the line's text and, where one is near, the name that was meant.
//
// Text is YAML 1.2 core, so JSON works too: true and false are the only booleans, durations are text such as "10s",
// sizes are text such as "64MiB" or a number of bytes. ${NAME} and ${NAME:-default} are replaced only in the fields whose
// doc says so, by Resolve, and $$ is a dollar sign. $NAME is left to the shell.
//
// # Secrets
//
// The model holds the files of secrets and never what is in them. Env values whose name speaks of a secret (SecretName)
// are left out of String, of JSON and of the excerpts of errors, and so are the places where Resolve put them.
//
// # One table
//
// The tags of the model's fields are the table that the decoder, the defaults, Schema, Diff and the JSON form all read.
// The descriptions in the schema are the fields' comments; a test holds fielddoc.go to them.
package spec
