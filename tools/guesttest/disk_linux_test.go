package guesttest

import (
	"os"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/guest/blockio"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// In a run of all operations the two sequential ones share a file, and the two
// random ones another. Alone, rand_read makes its own. Each file has a directory.
func TestRandReadTakesTheFileOver(t *testing.T) {
	t.Parallel()
	for pattern, files := range map[string]int{"Disk": 2, "Disk/op=rand_read": 1} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			f, err := os.CreateTemp(home, "")
			require.NoError(t, err)
			defer f.Close()
			if pattern == "Disk" && !blockio.InPlace(f) {
				files++ // a copy-on-write file system
			}
			watch, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
			require.NoError(t, err)
			defer unix.Close(watch)
			_, err = unix.InotifyAddWatch(watch, home, unix.IN_CREATE|unix.IN_ONLYDIR)
			require.NoError(t, err)
			r := runGuest(t, baseEnv(home, t.TempDir(), "CAPSEM_BENCH_SIZE_MB=1"), "-test.bench="+pattern)
			require.Equal(t, 0, r.exit, r.stdout)
			buf := make([]byte, 64<<10)
			n, err := unix.Read(watch, buf)
			require.NoError(t, err)
			assert.Equal(t, files, strings.Count(string(buf[:n]), ".capsem-bench-"))
			assert.Len(t, entries(t, home), 1, "the file of this test")
		})
	}
}
