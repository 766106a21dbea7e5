package spawn

import (
	"context"
	"os/exec"
	"testing"
)

// The difference is what identity, marker and descriptors cost.
func BenchmarkStartAndWait(b *testing.B) {
	b.Run("spawn", func(b *testing.B) { benchStart(b, Spec{Args: []string{"/bin/true"}, RunID: "bench"}) })
	b.Run("os-exec", func(b *testing.B) {
		for b.Loop() {
			cmd := exec.Command("/bin/true")
			cmd.Env = []string{MarkerEnv + "=bench"}
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("shim", func(b *testing.B) { benchStart(b, Spec{Args: []string{"/bin/true"}, RunID: "bench", Nice: 1}) })
}

func benchStart(b *testing.B, s Spec) {
	for b.Loop() {
		p, err := Start(context.Background(), s)
		if err != nil {
			b.Fatal(err)
		}
		if e, err := p.Wait(context.Background()); err != nil || !e.OK() {
			b.Fatal(e, err)
		}
	}
}

func BenchmarkStopTree(b *testing.B) {
	for b.Loop() {
		p, err := Start(context.Background(), Spec{Args: []string{"/bin/sleep", "1000"}, RunID: "bench"})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.StopTree(context.Background(), StopOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
