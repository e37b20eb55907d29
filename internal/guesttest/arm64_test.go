package guesttest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The guest binary for arm64 measures every category: on such a machine, or
// in an emulator of its processor.
func TestArm64(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "guest-arm64.test")
	cmd := exec.Command("go", "test", "-c", "-o", binary, "github.com/capsem/capsem-bench")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))

	argv := []string{binary}
	if runtime.GOARCH != "arm64" {
		emulator, err := exec.LookPath("qemu-aarch64")
		if err != nil {
			emulator, err = exec.LookPath("qemu-aarch64-static")
		}
		if err != nil {
			t.Skip("no qemu-aarch64: install qemu-user")
		}
		argv = []string{emulator, binary}
	}
	argv = append(argv, "-test.bench=Disk/op=seq|Rootfs/op=seq|Startup/cli=python3|HTTP|Throughput|Snapshot/files=10$")
	cmd = exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = completeEnv(t)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), stdout.String()+stderr.String())
	rep, err := convert.Read(bytes.NewReader(stdout.Bytes()), "arm64.txt")
	require.NoError(t, err)
	assert.Empty(t, rep.Warnings)
	assert.True(t, rep.Complete())
	assert.Equal(t, "arm64", rep.Config["goarch"])
	assert.Len(t, rep.Ops, 11)
	for _, res := range rep.Ops {
		assert.Equal(t, record.OK, res.Status, "%s: %s", res.Op.Name, res.Reason)
	}
}
