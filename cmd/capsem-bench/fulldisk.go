package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/capsem/capsem-bench/internal/diskroom"
	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/capsem/capsem-bench/sandbox/qemu"
	"github.com/dustin/go-humanize"
)

// fullDisk is what to do about an error that says that a disk is full, "" for
// any other. The error names the file; this names the directories that can be
// moved to another disk, with the room that they have.
func fullDisk(err error) string {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) && !errors.Is(err, diskroom.ErrNone) {
		return ""
	}
	var at *fs.PathError
	if errors.As(err, &at) && (at.Path == os.Stdout.Name() || at.Path == os.Stderr.Name()) {
		return "" // where it leads is the shell's matter
	}
	ways := []string{place("TMPDIR", "temporary files", os.TempDir())}
	if dir := qemu.MachinesDir(); dir != scratch.Temp() {
		ways = append(ways, place("XDG_RUNTIME_DIR", "what a VM boots from", dir))
	}
	if dir, err := qemu.CacheDir(); err == nil {
		ways = append(ways, place("XDG_CACHE_HOME", "images and builds", dir))
	}
	ways = append(ways, "--out that of results")
	return "make room on that disk, or use another: " + strings.Join(ways, ", ")
}

// place says which variable names a directory, and what room its disk has.
func place(variable, what, dir string) string {
	free, _, err := diskroom.On(dir)
	if err != nil {
		return fmt.Sprintf("%s names the directory of %s (%s)", variable, what, dir)
	}
	return fmt.Sprintf("%s names the directory of %s (%s, %s free)", variable, what, dir, humanize.IBytes(uint64(free)))
}
