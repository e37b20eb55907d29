package main

import (
	"testing"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/stretchr/testify/assert"
)

// What to do next is a command with the builds and settings of the trial, as a
// shell takes it.
func TestTrialCommand(t *testing.T) {
	t.Parallel()
	p := &ab.Plan{
		Base:    ab.Build{Name: "main (0123456789ab)"},
		Cand:    ab.Build{Name: "my build", Args: []string{"--memory=2G"}, Env: []string{"A=b c"}},
		Sandbox: "local", Looks: []int{6, 10, 16}, Rounds: 10, Timed: &ab.Timing{}, Categories: []string{"snapshot"},
	}
	assert.Equal(t, "capsem-bench ab --base main --cand 'my build' --cand-arg '--memory=2G' --cand-env 'A=b c' --sandbox local snapshot",
		trialCommand(p, "out", false))
	p = &ab.Plan{
		Base:    ab.Build{Name: "ssh old {}", Args: []string{"--exec=ssh old {}"}},
		Cand:    ab.Build{Name: "new", Files: map[string]string{partImage: "1"}, Args: []string{"--image=/x"}},
		Sandbox: "command", Looks: []int{8}, Rounds: 4, Settings: map[string]string{"CAPSEM_BENCH_X": "1"},
		Judging: ab.Judging{Margin: 0.02, Policy: "1", Vary: []string{"image"}, Ops: []string{"disk/*"}, AcceptUnfit: true},
	}
	assert.Equal(t, "CAPSEM_BENCH_X=1 capsem-bench ab --base-exec 'ssh old {}' --cand new --sandbox command --looks 8 --margin 0.02 --vary image --ops 'disk/*' --accept-unfit --policy out/gate.toml --out out --count 4",
		trialCommand(p, "out", true))
}
