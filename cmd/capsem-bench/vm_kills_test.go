//go:build vmtest

package main

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// More kills, all over a build, and a whole one after them:
// go test -tags vmtest ./cmd/capsem-bench -run TestVMKillBuild -v -build-kills 20 -build-window 90s
var (
	buildKills  = flag.Int("build-kills", 1, "kill 'vm build' so often, at random moments")
	buildWindow = flag.Duration("build-window", 5*time.Second, "of the moments; 30s or more ends with a whole build")
)

// A build that is killed leaves no process and no mount. Its directories go
// with the next command, what it left in the cache with the next build.
func TestVMKillBuild(t *testing.T) {
	tr := newVMTrial(t)
	require.NoError(t, os.RemoveAll(tr.image))
	rng := rand.New(rand.NewPCG(*killSeed, 4))
	for i := range *buildKills {
		after, sig := time.Duration(rng.Float64()*float64(*buildWindow)), killSignal(rng)
		tr.killAt(t, after, sig, "vm", "build")
		mounts, err := os.ReadFile("/proc/mounts")
		require.NoError(t, err)
		assert.NotContains(t, string(mounts), tr.tmp, "kill %d after %v by %v", i, after, sig)
		tr.start(t, "version")
		_ = tr.cmd.Wait()
		left, err := os.ReadDir(tr.tmp)
		require.NoError(t, err)
		assert.Empty(t, left, "kill %d after %v by %v", i, after, sig)
	}
	if *buildWindow < 30*time.Second {
		return
	}
	require.Equal(t, exitOK, tr.run(t, "vm", "build"), tr.stderr.String())
	there, err := filepath.Glob(filepath.Join(filepath.Dir(tr.image), "*"))
	require.NoError(t, err)
	hidden, err := filepath.Glob(filepath.Join(filepath.Dir(tr.image), ".*"))
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{tr.image, tr.image + ".lock"}, append(there, hidden...))
}
