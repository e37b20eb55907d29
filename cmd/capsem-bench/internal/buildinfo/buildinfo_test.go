package buildinfo

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/capsem/capsem-bench/internal/record"
)

func TestOf(t *testing.T) {
	t.Parallel()
	machine := []debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "arm64"}}
	vcs := append([]debug.BuildSetting{
		{Key: "vcs.revision", Value: "1a2b3c4d5e6f7a8b9c0d"}, {Key: "vcs.time", Value: "2026-11-30T12:00:00Z"}, {Key: "vcs.modified", Value: "true"},
	}, machine...)
	for _, c := range []struct {
		name, module string
		settings     []debug.BuildSetting
		want         string
	}{
		{"checkout", "v0.0.0-20261130120000-1a2b3c4d5e6f+dirty", vcs, "(commit 1a2b3c4d5e6f, modified, 2026-11-30T12:00:00Z, go1.26.8, linux/arm64)"},
		{"without git", "(devel)", machine, "(go1.26.8, linux/arm64)"},
		{"installed by tag", "v0.1.0", machine, "(go1.26.8, linux/arm64)"},
		{"installed by commit", "v0.1.1-0.20261130120102-1a2b3c4d5e6f", machine, "(commit 1a2b3c4d5e6f, 2026-11-30T12:01:02Z, go1.26.8, linux/arm64)"},
	} {
		got := Of(&debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: c.module}, Settings: c.settings})
		assert.Equal(t, record.ToolVersion+" "+c.want, got.String(), c.name)
		if c.name == "installed by tag" {
			assert.Equal(t, "v0.1.0", got.Module)
		}
	}
}
