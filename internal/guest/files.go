package guest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// A File is one regular file of the rootfs.
type File struct {
	Path string
	Size int64
}

// maxFiles bounds the list; a distribution has some 10,000 files there.
const maxFiles = 1_000_000

// Scan returns the regular files of at least minSize bytes under dirs, sorted
// by path, each inode once, and how many entries could not be looked at.
// Symbolic links are not followed; a missing directory has no files.
func Scan(dirs []string, minSize int64) (files []File, unreadable int64) {
	seen := make(map[[2]uint64]bool)
	for _, dir := range dirs {
		_ = filepath.WalkDir(resolve(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				if !os.IsNotExist(err) {
					unreadable++
				}
				return nil
			}
			if !d.Type().IsRegular() || len(files) >= maxFiles {
				return nil
			}
			info, err := d.Info()
			switch {
			case err != nil:
				unreadable++ // vanished between the listing and the look
			case info.Size() >= minSize && !linked(info, seen):
				files = append(files, File{path, info.Size()})
			}
			return nil
		})
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, unreadable
}

// resolve follows a scan directory that is itself a link, as /usr/lib is on
// some systems.
func resolve(dir string) string {
	if path, err := filepath.EvalSymlinks(dir); err == nil {
		return path
	}
	return dir
}

// linked reports whether the inode was seen before under another name.
func linked(info fs.FileInfo, seen map[[2]uint64]bool) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Nlink < 2 {
		return false
	}
	key := [2]uint64{uint64(st.Dev), st.Ino}
	if seen[key] {
		return true
	}
	seen[key] = true
	return false
}

// Largest returns the largest file that can be opened; the first by path of
// several. ok is false when there is none.
func Largest(files []File) (largest File, ok bool) {
	bySize := slices.Clone(files)
	slices.SortStableFunc(bySize, func(a, b File) int { return int(b.Size/512 - a.Size/512) })
	for _, f := range bySize {
		if file, err := os.Open(f.Path); err == nil {
			_ = file.Close()
			return f, true
		}
	}
	return File{}, false
}

// A Sample is one random access: a place in a file.
type Sample struct {
	Path   string
	Offset int64
}

// Draw picks n accesses of one block: a file at random, and a block-aligned
// place in it at random.
func Draw(seed uint64, files []File, n int, block int64) []Sample {
	rng := Rand(seed, "rootfs")
	out := make([]Sample, n)
	for i := range out {
		f := files[rng.IntN(len(files))]
		out[i] = Sample{f.Path, rng.Int64N(f.Size/block) * block}
	}
	return out
}

// Distinct returns the different files of the samples, sorted.
func Distinct(samples []Sample) []string {
	paths := make([]string, len(samples))
	for i, s := range samples {
		paths[i] = s.Path
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}
