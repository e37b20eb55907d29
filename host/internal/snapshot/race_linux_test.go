package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A guest swaps a directory for a link to outside, and back, while everything
// that looks at the workspace is done over and over.
func TestLinksThatComeAndGo(t *testing.T) {
	f := newFixture(t)
	out, unchanged := outside(t)
	f.write("d/b", "inside")
	f.create("base")
	require.NoError(t, os.Symlink(out, filepath.Join(f.dir, "link")))
	stop := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(f.dir, "d"), unix.AT_FDCWD, filepath.Join(f.dir, "link"), unix.RENAME_EXCHANGE)
		}
	})
	slot := 3
	for range 300 {
		_, err := f.Revert(t.Context(), "d/b", &slot)
		var e *Error
		if err != nil && !errors.As(err, &e) {
			require.NoError(t, err)
		}
		f.changed()
		info := f.create("x")
		require.NoError(t, filepath.WalkDir(f.slots[info.Slot].dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				text, err := os.ReadFile(path)
				require.NoError(t, err)
				assert.NotContains(t, string(text), "secret")
			}
			return err
		}))
		require.NoError(t, f.Delete(t.Context(), info.Slot))
	}
	close(stop)
	swapper.Wait()
	unchanged()
}
