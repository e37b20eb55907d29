package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// It is copied into every VM.
func TestGuestBinarySize(t *testing.T) {
	root, err := checkout()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "guest")
	build := exec.Command("go", GuestBinary().Build(file)...)
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.LessOrEqual(t, info.Size(), int64(6_000_000))
}
