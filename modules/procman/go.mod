module github.com/bop-platform/bop/modules/procman

go 1.26.0

require (
	github.com/creack/pty v1.1.24
	github.com/goccy/go-yaml v1.19.2
	github.com/klauspost/compress v1.20.3
	golang.org/x/sys v0.49.0
)
