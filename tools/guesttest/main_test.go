package guesttest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/testbuild"
	"github.com/stretchr/testify/require"
)

// TestMain acts as the snapshots command when it is called by that name: the
// tests put a link to their own binary into PATH.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "snapshots" {
		os.Exit(standIn(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func guestBinary(t *testing.T) string { return testbuild.Guest(t) }

// A guestRun is one finished run of the guest binary.
type guestRun struct {
	stdout, stderr string
	exit           int
	status         map[string]record.Status // by op
	samples        map[string][]record.Samples
	end            *record.End
}

// startGuest starts the guest binary with nothing of the tester's environment
// but what the test gives it. It spares the caches of what else runs here,
// unless the test wants that too.
func startGuest(t *testing.T, env []string, args ...string) (cmd *exec.Cmd, wait func() *guestRun) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd = exec.CommandContext(ctx, guestBinary(t), args...)
	cmd.Env, cmd.Dir = append([]string{catalogue.EnvDropped + "=" + catalogue.DroppedFiles}, env...), t.TempDir()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	require.NoError(t, cmd.Start())
	return cmd, func() *guestRun {
		t.Helper()
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			require.NoError(t, err)
		}
		r := &guestRun{stdout: stdout.String(), stderr: stderr.String(), exit: cmd.ProcessState.ExitCode()}
		r.parse(t)
		return r
	}
}

func runGuest(t *testing.T, env []string, args ...string) *guestRun {
	t.Helper()
	_, wait := startGuest(t, env, args...)
	return wait()
}

func (r *guestRun) parse(t *testing.T) {
	t.Helper()
	r.status, r.samples = make(map[string]record.Status), make(map[string][]record.Samples)
	for line := range strings.Lines(r.stdout) {
		v, err := record.Parse([]byte(strings.TrimSuffix(line, "\n")))
		if errors.Is(err, record.ErrNotRecord) {
			continue
		}
		require.NoError(t, err, line)
		switch v := v.(type) {
		case *record.Status:
			require.NotContains(t, r.status, v.Op, "one status line an op")
			r.status[v.Op] = *v
		case *record.Samples:
			r.samples[v.Op] = append(r.samples[v.Op], *v)
		case *record.End:
			r.end = v
		}
	}
}

// baseEnv is the environment of a run with the given home directory.
func baseEnv(home, path string, extra ...string) []string {
	return append([]string{"HOME=" + home, "PATH=" + path, "TMPDIR=" + os.TempDir()}, extra...)
}
