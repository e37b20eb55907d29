package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestABGoesOn interrupts a trial in the middle of a boot and gives the same
// command again: nothing is left running, what was measured stays, and the
// order of the whole is that of the plan.
func TestABGoesOn(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	require.NoError(t, fakeBuild(filepath.Join(tr.dir, "fake")))
	args := []string{"ab", "--base", "fake", "--cand", "fake", "--accept-unfit", "--out", "out", "--seed", "3"}
	fit := filepath.Join(tr.dir, "fit.json")
	require.NoError(t, os.WriteFile(fit, []byte(fitMachine), 0o600))
	held := filepath.Join(tr.dir, "held")
	tr.env = append(tr.env, "FAKE_HOLD="+held, "TEST_MACHINE="+fit)
	tr.start(t, args...)
	boots := func() []string {
		names, err := filepath.Glob(filepath.Join(tr.dir, "out", "*", record.BootFiles))
		require.NoError(t, err)
		return names
	}
	underWay := func() bool {
		dirs, err := filepath.Glob(filepath.Join(tr.dir, "out", ".boot-*", "run"))
		return err == nil && len(dirs) == 1 && len(boots()) == 1 && one(held)
	}
	require.Eventually(t, underWay, time.Minute, 5*time.Millisecond, "the second boot")
	require.NoError(t, tr.cmd.Process.Signal(syscall.SIGINT))
	assert.Equal(t, exitInterrupted, tr.wait(t))
	assert.Contains(t, tr.stderr.String(), "interrupted.\nWhat was measured is in out; the same command with --out out goes on from there.")
	assert.Contains(t, tr.stderr.String(), "base: fake\ncand: fake\n")
	assert.Regexp(t, `(?m)^boot 1/12 (base|cand)$\n^boot 2/12 (base|cand)(, [0-9ms]+ left, at most [0-9ms]+)?$`, tr.stderr.String(), "a line a boot, in a pipe")
	require.Len(t, boots(), 1)
	first, err := os.ReadFile(boots()[0])
	require.NoError(t, err)
	left, err := filepath.Glob(filepath.Join(tr.dir, "out", ".boot-*"))
	require.NoError(t, err)
	assert.Empty(t, left)

	tr.env = append(tr.env, "FAKE_HOLD=")
	tr.stdout.Reset()
	require.Equal(t, exitOK, tr.run(t, args...), tr.stderr.String())
	said := strings.Join(strings.Fields(tr.stdout.String()), " ")
	assert.Contains(t, said, "1 pair measured again (1 interrupted); the last: the trial was interrupted between")
	assert.Len(t, boots(), 12+1, "of both sides, and the half pair that is kept aside")
	aside, err := filepath.Glob(filepath.Join(tr.dir, "out", "repeated", "boot-001-*.txt"))
	require.NoError(t, err)
	require.Len(t, aside, 1)
	kept, err := os.ReadFile(aside[0])
	require.NoError(t, err)
	assert.True(t, bytes.Equal(first, kept))

	// Its files alone prove the order.
	tr.stdout.Reset()
	require.Equal(t, exitOK, tr.run(t, "gate", "--accept-unfit", "out/base", "out/cand"), tr.stdout.String())
	assert.Equal(t, 1, strings.Count(tr.stdout.String(), "interleaved (by the recorded order)"))
}

func TestProgressText(t *testing.T) {
	t.Parallel()
	p := ab.Progress{Planned: 12, Most: 32, OpenOps: -1, Boot: ab.Boot{Side: ab.Base}}
	assert.Equal(t, "boot 1/12 base", progressText(p))
	p = ab.Progress{
		Done: 12, Planned: 20, Most: 32, OpenOps: 15, Boot: ab.Boot{Side: ab.Cand},
		Left: 98400 * time.Millisecond, Longest: 277 * time.Second,
	}
	line := progressText(p)
	assert.Equal(t, "boot 13/20 cand, 15 ops open, 1m38s left, at most 4m37s", line)
	assert.LessOrEqual(t, len(line+"  12s (last time 10.5s)"), 79)
}
