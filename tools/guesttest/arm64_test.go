package guesttest

import (
	"bytes"
	"os/exec"
	"runtime"
	"testing"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/testbuild"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The guest binary for arm64 measures every category: on such a machine, or
// in an emulator of its processor.
func TestArm64(t *testing.T) {
	t.Parallel()
	binary := testbuild.Build(t, "capsem-bench.test", []string{"GOOS=linux", "GOARCH=arm64"}, "test", "-c", "github.com/capsem/capsem-bench")
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
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
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
