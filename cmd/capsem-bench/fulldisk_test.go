package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/capsem/capsem-bench/internal/diskroom"
	"github.com/capsem/capsem-bench/internal/testbuild"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFullDiskAdvice(t *testing.T) {
	tmp, cache := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("XDG_RUNTIME_DIR", "")
	for _, err := range []error{
		&fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC},
		fmt.Errorf("dpkg-deb: exit status 2: %w", syscall.ENOSPC),
		fmt.Errorf("copying: %w", diskroom.ErrNone),
		syscall.EDQUOT,
	} {
		advice := fullDisk(exit(exitUnfit, err))
		assert.Regexp(t, `^make room on that disk, or use another: TMPDIR names the directory of temporary files \(\S+, \S+ \S*B free\), `+
			`XDG_CACHE_HOME names the directory of images and builds \(\S+, \S+ \S*B free\), --out that of results$`, advice)
		assert.Contains(t, advice, tmp)
		assert.Contains(t, advice, cache)
	}
	assert.Empty(t, fullDisk(os.ErrNotExist))
	assert.Empty(t, fullDisk(&fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}))
}

// An image is not begun where it has no room: the tools of a build say many
// things of a full disk, and the first of them is a bad signature.
func TestImageWithoutRoom(t *testing.T) {
	t.Parallel()
	full := smallDisk(t, 64<<10)
	for variable, needs := range map[string]string{"TMPDIR": "to be built", "XDG_CACHE_HOME": "to be kept"} {
		for _, profile := range []string{"minimal", "full"} {
			tr := newTrial(t, "XDG_CACHE_HOME="+t.TempDir(), variable+"="+full)
			assert.Equal(t, exitUnfit, tr.run(t, "vm", "build", "--profile", profile), tr.stderr.String())
			assert.Regexp(t, `^capsem-bench: building the `+profile+` image: `+full+`\S* has room for 64 KiB, and it needs \S+ \SiB `+needs+`: no space left on device\n`+
				`  make room on that disk, or use another: TMPDIR names `, tr.stderr.String())
			left, err := filepath.Glob(filepath.Join(full, "*", "images", "*"))
			assert.NoError(t, err)
			assert.NotContains(t, fmt.Sprint(left), ".building")
		}
	}
	left, err := filepath.Glob(filepath.Join(full, "capsem-image-*"))
	assert.NoError(t, err)
	assert.Empty(t, left)
}

// A session database that has no room leaves no half of it, and the disk is
// named.
func TestSessionOnFullDisk(t *testing.T) {
	t.Parallel()
	full := smallDisk(t, 8<<10)
	tr := newTrial(t)
	assert.Equal(t, exitUnfit, tr.run(t, "serve", "--workspace", t.TempDir(), "--db", filepath.Join(full, "session.db"), "--gateway", "unix:"+filepath.Join(t.TempDir(), "g")), tr.stderr.String())
	assert.Regexp(t, `^capsem-bench: creating the session database `+filepath.Join(full, "session.db")+`: .*: no space left on device\n  make room on that disk`, tr.stderr.String())
	left, err := filepath.Glob(filepath.Join(full, "session*"))
	assert.NoError(t, err)
	assert.Empty(t, left)
}

// A history whose disk is full loses nothing, says so, and takes the run when
// there is room again.
func TestHistoryOnFullDisk(t *testing.T) {
	t.Parallel()
	full := smallDisk(t, 1<<20)
	root, err := testbuild.Root()
	require.NoError(t, err)
	add := func(name string) []string {
		return []string{"history", "add", "--store", filepath.Join(full, "h.db"), filepath.Join(root, "convert", "testdata", "capsem", name)}
	}
	tr := newTrial(t)
	require.Equal(t, 0, tr.run(t, add("seed.json")...), tr.stderr.String())
	ballast := filepath.Join(full, "ballast2")
	require.ErrorIs(t, os.WriteFile(ballast, make([]byte, 2<<20), 0o600), syscall.ENOSPC)
	assert.Equal(t, exitUnfit, tr.run(t, add("lab.json")...))
	assert.Regexp(t, `(?m)^capsem-bench: history \S+: the disk is full; the store is as it was before: `, tr.stderr.String())
	require.NoError(t, os.Remove(ballast))
	assert.Equal(t, 0, tr.run(t, add("lab.json")...), tr.stderr.String())
	assert.Equal(t, 0, tr.run(t, "history", "list", "--store", filepath.Join(full, "h.db")), tr.stderr.String())
	assert.Equal(t, 2, strings.Count(tr.stdout.String(), ".json"), tr.stdout.String())
}
