package snapshot

import (
	"cmp"
	"context"

	"github.com/capsem/capsem-bench/internal/diskroom"
)

// Fork copies the workspace into dir, an empty directory that is none of the
// store's, as a snapshot does: through open directories, sharing blocks where
// the filesystem can. It waits for no turn and takes no slot. The bytes are
// those that the copies of files take.
func (s *Store) Fork(ctx context.Context, dir string) (bytes int64, left LeftOut, err error) {
	c := cloner{disk: disk{max: cmp.Or(s.cfg.MaxDisk, defaultDisk), dir: dir, free: diskroom.On}}
	t, left, err := c.cloneTree(ctx, s.cfg.Workspace, dir, nil, &memory{max: cmp.Or(s.cfg.MaxMemory, defaultMemory)})
	if err != nil {
		return 0, left, failed(err, "failed to fork the workspace")
	}
	for _, e := range t {
		bytes += e.disk
	}
	return bytes, left, nil
}
