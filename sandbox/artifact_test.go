package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A guest's init that needs libraries would be a kernel panic.
func TestDynamicGuestToolsAreRefused(t *testing.T) {
	sh, err := exec.LookPath("sh") // dynamic on every Debian
	require.NoError(t, err)
	err = GuestTools().For(runtime.GOARCH).Fits(sh)
	assert.EqualError(t, err, sh+" is linked dynamically, and a guest begins without libraries; build it with CGO_ENABLED=0")
	assert.NoError(t, GuestCommand().For(runtime.GOARCH).Fits(sh), "it runs in the guest's own root")
}

// What the command puts into a VM is what the README's line makes, byte for
// byte: a figure never depends on who built the guest binary.
func TestGuestBinaryIsThatOfTheREADME(t *testing.T) {
	root, err := checkout()
	require.NoError(t, err)
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	line := regexp.MustCompile(`(?m)^CGO_ENABLED=0 go test -c .*-o capsem-bench\.test \.$`).FindString(string(readme))
	require.NotEmpty(t, line, "the README says how to build the guest binary")

	dir := t.TempDir()
	run := func(command *exec.Cmd) {
		command.Dir = root
		command.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := command.CombinedOutput()
		require.NoError(t, err, "%v\n%s", command.Args, out)
	}
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	run(exec.Command("go", GuestBinary().Build(ours)...))
	byHand := regexp.MustCompile(`-o capsem-bench\.test`).ReplaceAllLiteralString(line, "-o "+theirs)
	run(exec.Command("sh", "-c", byHand))
	run(exec.Command("cmp", ours, theirs))

	info, err := os.Stat(ours)
	require.NoError(t, err)
	assert.LessOrEqual(t, info.Size(), int64(10_000_000), "it is copied into every VM")
}

// Local user to root: sources that anybody can have put above the working
// directory are not built and run.
func TestCheckoutOfEverybody(t *testing.T) {
	dir := t.TempDir()
	work := filepath.Join(dir, "work")
	require.NoError(t, os.Mkdir(work, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module "+Module+"\n"), 0o644))
	t.Chdir(work)
	root, err := checkout()
	require.NoError(t, err)
	assert.Equal(t, dir, root)
	for _, mode := range []os.FileMode{0o777, 0o777 | os.ModeSticky} {
		require.NoError(t, os.Chmod(dir, mode))
		_, err = checkout()
		require.ErrorIs(t, err, os.ErrNotExist)
	}
}
