package main

import "testing"

func TestOnlyShellBlocksAreRun(t *testing.T) {
	script, blocks := scriptOf("docs/x.md", "# Title\n```sh\none\n\ntwo <<END\nEND\n```\ntext\n```\nnot this\n```\n```sh\nthree\n```\n")
	want := "set -euo pipefail\necho '== x.md:3'\none\n\ntwo <<END\nEND\necho '== x.md:13'\nthree\n"
	if script != want || blocks != 2 {
		t.Errorf("%d blocks: %q, want %q", blocks, script, want)
	}
}
