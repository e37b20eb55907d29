package qemu

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An image that cannot be used is built again, which takes minutes: that is
// said also where no terminal shows what is under way.
func TestBuildSaysThatItBuildsAgain(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"truncated":   func(dir string) error { return os.Truncate(filepath.Join(dir, rootfsFile), 3) },
		"no manifest": func(dir string) error { return os.Remove(filepath.Join(dir, manifestFile)) },
		"nothing":     nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			ended, cancel := context.WithCancel(t.Context())
			cancel() // before anything is fetched
			var said []string
			o := BuildOptions{
				Profile: Minimal, Arch: HostArch(), Mirror: "http://127.0.0.1:1/debian",
				Warn: func(remark string) { said = append(said, remark) },
			}
			dir, err := o.ImageDir()
			require.NoError(t, err)
			if spoil == nil {
				_, err = Build(ended, o)
				require.ErrorIs(t, err, context.Canceled)
				assert.Empty(t, said, "a first build is no surprise")
				return
			}
			require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o755))
			require.NoError(t, os.Rename(testImage(t), dir))
			require.NoError(t, spoil(dir))
			_, err = Build(ended, o)
			require.ErrorIs(t, err, context.Canceled)
			require.Len(t, said, 1)
			assert.Contains(t, said[0], "the image in the cache cannot be used and is built again, which takes minutes: no usable image in "+dir)
			assert.DirExists(t, dir, "it stays until there is another")
		})
	}
}
