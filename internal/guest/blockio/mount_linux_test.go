package blockio

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Filesystem and source are those that findmnt(8) of util-linux says.
func TestMount(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/proc/self", "/"} {
		out, err := exec.Command("findmnt", "-n", "-o", "FSTYPE,SOURCE", "--target", dir).Output()
		require.NoError(t, err)
		want := strings.Fields(string(out))
		got := Mount(dir)
		assert.Regexp(t, "^"+want[0]+` \S+ on `+want[1], got, dir)
	}
	assert.Empty(t, Mount(filepath.Join(t.TempDir(), "none")))
	assert.Equal(t, "rw,relatime,size=1k", joinOptions("rw,relatime", "rw,size=1k"))
	assert.Equal(t, "none", selected("[none] mq-deadline"))
	assert.Equal(t, "4096", selected("4096"))
}
