package snapshot

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// One request is about a file of 64 GiB that is mostly holes, and stands still
// at every moment at which it looks whether it should go on: in the listing, in
// the file, in its copy. Another's requests end meanwhile.
func TestSparseFileDelaysNobody(t *testing.T) {
	f := newFixture(t)
	path := filepath.Join(f.dir, "sparse")
	edit := func(n int64) {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		require.NoError(t, err)
		require.NoError(t, file.Truncate(64<<30))
		for _, at := range []int64{0, 20 << 30, 64<<30 - 20} {
			_, err = file.WriteAt(fmt.Appendf(nil, "edit %06d", n), at)
			require.NoError(t, err)
		}
		require.NoError(t, file.Close())
	}
	edit(0)
	old := f.create("old")
	for name, slow := range map[string]struct {
		call     func(ctx context.Context) error
		changing bool // takes turns with others that change the store
	}{
		"changes": {func(ctx context.Context) error {
			rows, err := f.Changes(ctx)
			assert.Len(t, rows, 1)
			return err
		}, false},
		"create": {func(ctx context.Context) error {
			info, _, err := f.Create(ctx, "slow")
			if err != nil {
				return err
			}
			return f.Delete(t.Context(), info.Slot)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			moments := int64(0)
			for ended := false; !ended; moments++ {
				edit(moments + 1) // no hash from before helps
				held := &heldContext{Context: t.Context(), after: moments + 1, entered: make(chan struct{}), free: make(chan struct{})}
				done := make(chan error, 1)
				go func() { done <- slow.call(held) }()
				select {
				case err := <-done: // it looked less often than that
					require.NoError(t, err)
					ended = true
					continue
				case <-held.entered:
				}
				rows, err := f.Changes(t.Context())
				require.NoError(t, err)
				assert.Len(t, rows, 1)
				_, err = f.List(t.Context())
				require.NoError(t, err)
				_, err = f.History(t.Context(), "sparse")
				require.NoError(t, err)
				if !slow.changing {
					info := f.create("another")
					require.NoError(t, f.Delete(t.Context(), info.Slot))
				}
				select {
				case <-done:
					assert.Fail(t, "the slow request ended before it was let go on")
				default:
				}
				close(held.free)
				require.NoError(t, <-done)
			}
			assert.Greater(t, moments, int64(4), "the moments in the file are among them")
		})
	}
	assert.Equal(t, ID(old.Slot), f.ids())
}
