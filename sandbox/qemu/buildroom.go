package qemu

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/capsem/capsem-bench/internal/diskroom"
	"github.com/dustin/go-humanize"
)

// needs are somewhat less than what an image takes, while it is built and after
// it: 482 and 57 MiB, and 1333 and 444 with the CLIs. A build that begins with
// less fails in the middle of some other program, whose words for it are its
// own: apt calls a list that it could not write badly signed.
var needs = map[Profile]struct{ scratch, kept int64 }{
	Minimal: {400 << 20, 32 << 20},
	Full:    {1200 << 20, 400 << 20},
}

// checkRoom fails where the disks of the directory for temporary files and of
// the image have no room for a build.
func (o BuildOptions) checkRoom(dir string) error {
	for _, part := range []struct {
		dir, what string
		need      int64
	}{
		{os.TempDir(), "to be built", needs[o.Profile].scratch},
		{filepath.Dir(dir), "to be kept", needs[o.Profile].kept},
	} {
		free, _, err := diskroom.On(part.dir)
		if err == nil && free < part.need {
			return fmt.Errorf("%s has room for %s, and it needs %s %s: %w",
				part.dir, humanize.IBytes(uint64(free)), humanize.IBytes(uint64(part.need)), part.what, syscall.ENOSPC)
		}
	}
	return nil
}
