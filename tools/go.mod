module github.com/bop-platform/bop/tools

go 1.26.0
