package blockio

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"syscall"
)

// A File is one regular file of the rootfs.
type File struct {
	Path string
	Size int64
}

// maxFiles bounds the list, and so the memory: a distribution with compilers
// has some 30,000 files there.
const maxFiles = 200_000

// Scan returns the regular files of at least minSize bytes under dirs, sorted
// by path, each inode once, and how many entries could not be looked at.
// Symbolic links are not followed; a missing directory has no files.
func Scan(ctx context.Context, dirs []string, minSize int64) (files []File, unreadable int64) {
	seen := make(map[inode]bool)
	for _, dir := range dirs {
		_ = filepath.WalkDir(resolve(dir), func(path string, d fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil || len(files) >= maxFiles:
				return fs.SkipAll
			case errors.Is(err, fs.ErrNotExist):
				return nil // a missing directory, or one that just went
			case err != nil:
				unreadable++
				return nil
			case !d.Type().IsRegular():
				return nil
			}
			info, err := d.Info()
			switch {
			case err != nil:
				unreadable++ // vanished between the listing and the look
			case info.Size() >= minSize && first(info, seen):
				files = append(files, File{path, info.Size()})
			}
			return nil
		})
	}
	sort.Slice(files, func(i, j int) bool { return files[i].Path < files[j].Path })
	return files, unreadable
}

// resolve follows a scan directory that is itself a link.
func resolve(dir string) string {
	if path, err := filepath.EvalSymlinks(dir); err == nil {
		return path
	}
	return dir
}

type inode struct{ dev, ino uint64 }

// first reports whether the file was not seen before under another name.
func first(info fs.FileInfo, seen map[inode]bool) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	key := inode{uint64(st.Dev), st.Ino}
	old := seen[key]
	seen[key] = true
	return !old
}

// Largest returns the largest file that can be opened; the first by path of
// several. ok is false when there is none.
func Largest(files []File) (largest File, ok bool) {
	for _, f := range files {
		if f.Size > largest.Size && readable(f.Path) {
			largest, ok = f, true
		}
	}
	return largest, ok
}

func readable(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
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

// TouchedPages is how many pages of the page cache accesses of one block fill,
// a page that several touch counted once.
func TouchedPages(samples []Sample, block int64) int64 {
	page := int64(os.Getpagesize())
	touched := make(map[Sample]bool)
	for _, s := range samples {
		for off := s.Offset / page; off*page < s.Offset+block; off++ {
			touched[Sample{s.Path, off}] = true
		}
	}
	return int64(len(touched))
}
