package qemu

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// unusedFor is how long an image lies unused before the build of another
// removes it: longer than a release takes, so that two versions that are
// compared keep theirs.
const unusedFor = 30 * 24 * time.Hour

// A Cached is one image in the cache directory.
type Cached struct {
	Dir     string
	Size    int64 // bytes on the disk
	Used    time.Time
	Current bool // this version of the command would use it
}

// CachedImages are the images of the cache directory, whole or not.
func CachedImages() ([]Cached, error) {
	base, err := imagesDir()
	if err != nil {
		return nil, err
	}
	current, err := currentImages()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Cached
	for _, e := range entries {
		// A name with a dot in front is a build under way.
		if info, err := e.Info(); err == nil && e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			dir := filepath.Join(base, e.Name())
			out = append(out, Cached{dir, int64(treeSize([]string{dir})), info.ModTime(), current[dir]})
		}
	}
	return out, nil
}

// currentImages are the directories of what this version builds.
func currentImages() (map[string]bool, error) {
	out := make(map[string]bool)
	for _, profile := range []Profile{Minimal, Full} {
		for _, arch := range []Arch{AMD64, ARM64} {
			dir, err := BuildOptions{Profile: profile, Arch: arch}.ImageDir()
			if err != nil {
				return nil, err
			}
			out[dir] = true
		}
	}
	return out, nil
}

// Remove removes an image, unless it is being built. A machine that runs from
// it keeps its files open.
func (c Cached) Remove() error {
	f, err := os.OpenFile(c.Dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if !lock(f.Fd()) {
		return errors.New("it is being built")
	}
	// Its name goes first: what is there by name is whole.
	gone := filepath.Join(filepath.Dir(c.Dir), ".removing-"+filepath.Base(c.Dir))
	if err := os.Rename(c.Dir, gone); err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

// pruneUnused removes images that nobody has used for long. What cannot be
// removed stays: the image that was asked for is there.
func (o BuildOptions) pruneUnused() {
	images, err := CachedImages()
	if err != nil {
		return
	}
	for _, c := range images {
		if !c.Current && time.Since(c.Used) > unusedFor {
			o.notify("image: removing %s, unused since %s", filepath.Base(c.Dir), c.Used.Format(time.DateOnly))
			_ = c.Remove()
		}
	}
}

// sweepBuilds removes what killed builds of this image have left beside it.
// The caller has its lock.
func sweepBuilds(dir string) {
	base, name := filepath.Split(dir)
	for _, pattern := range []string{".building-" + name + "-*", ".removing-" + name, name + ".old"} {
		left, _ := filepath.Glob(filepath.Join(base, pattern))
		for _, path := range left {
			_ = os.RemoveAll(path)
		}
	}
}

// lock takes a lock on an open file that ends with the process; it reports
// whether nobody else has it.
func lock(fd uintptr) bool { return unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) == nil }
