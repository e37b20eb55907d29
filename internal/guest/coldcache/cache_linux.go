package coldcache

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/capsem/capsem-bench/internal/record"
	"golang.org/x/sys/unix"
)

// Drop writes back and drops the cached pages of the files and proves it.
// Files that cannot be opened count neither way. Root drops the whole cache
// with all metadata, unless the reach is the files only; anyone else the pages
// of these files alone.
//
// The proof must not warm what it looks at. Files that are open since before
// are looked at without reading their names and inodes again; what remains of
// those in memory goes last, which takes a hundredth of the time. Of more files
// than may be open everything is dropped once more. Then the host is asked to
// drop what it has.
func Drop(files []string, reach Reach) record.Status {
	if !reach.FilesOnly {
		unix.Sync() // advise writes the files back
	}
	st := dropHere(files, reach.FilesOnly)
	dropHost(&st, reach.Host)
	return st
}

func dropHere(files []string, filesOnly bool) record.Status {
	open := hold(files)
	defer open.Close()
	if filesOnly || drop(everything) != nil {
		advise(open, files)
		return prove(open, files, droppedFiles)
	}
	st := prove(open, some(files), droppedAll)
	if float64(st.Resident) > coldShare*float64(st.Pages) { // pages in a CPU's batch are passed over
		advise(open, files)
		st = prove(open, files, droppedAll)
	}
	last := namesAndInodes
	if len(open) < len(files) {
		last = everything
	}
	open.Close()
	_ = drop(last)
	return st
}

// maxProved is how many files are looked at when everything was dropped. Each is
// opened, by a name and an inode that are no longer in memory: 1,700 files of a
// rootfs take 15 s in an emulated guest, and say no more than these.
const maxProved = 128

// some are at most maxProved files, evenly spread over all.
func some(files []string) []string {
	if len(files) <= maxProved {
		return files
	}
	out := make([]string, maxProved)
	for i := range out {
		out[i] = files[i*len(files)/maxProved]
	}
	return out
}

// What can be dropped, as proc_sys_vm(5) has it.
const (
	namesAndInodes = "2\n"
	everything     = "3\n" // with the pages of files
)

// drop drops what the kernel has in memory of all files. Only root may.
func drop(what string) error { return os.WriteFile("/proc/sys/vm/drop_caches", []byte(what), 0) }

// maxHeld bounds the files that are open while the cache is dropped.
const maxHeld = 64

// held are open files by their names.
type held map[string]*os.File

// hold opens the files, or none if they are too many.
func hold(files []string) held {
	if len(files) > maxHeld {
		return nil
	}
	h := make(held)
	for _, name := range files {
		if h[name] != nil {
			continue
		}
		if f, err := openQuietly(name); err == nil {
			h[name] = f
		}
	}
	return h
}

// Close closes them; a second time is none.
func (h held) Close() {
	for name, f := range h {
		_ = f.Close()
		delete(h, name)
	}
}

func advise(h held, files []string) {
	for _, name := range files {
		_ = h.with(name, func(f *os.File, _ int64) error {
			_ = f.Sync()
			return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		})
	}
}

// prove counts the pages of the files that are in the page cache.
func prove(h held, files []string, dropped string) record.Status {
	st := record.Status{Cache: record.CacheCold, Dropped: dropped}
	for _, name := range files {
		err := h.with(name, func(f *os.File, size int64) error {
			n, err := resident(f, size)
			st.Resident += n
			st.Pages += pages(size)
			return err
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) {
			return record.Status{Cache: record.CacheUnverified, Dropped: dropped}
		}
	}
	switch {
	case st.Pages == 0:
		st.Cache = record.CacheUnverified
	case float64(st.Resident) > warmShare*float64(st.Pages):
		st.Cache = record.CacheWarm
	}
	return st
}

// CachedPages is how many pages of an open file are in the page cache. It is
// asked of the descriptor: on FUSE opening the file again may empty the cache.
// It reports false if this user may not know.
func CachedPages(f *os.File, size int64) (n int64, known bool) {
	n, err := resident(f, size)
	switch {
	case errors.Is(err, errHidden):
		return 0, false
	case err != nil:
		return 0, true // what cannot even be mapped is not cached
	}
	return n, true
}

// CachedPagesOf is that of all pages of files.
func CachedPagesOf(files []string) (n int64, known bool) {
	st := prove(nil, files, "")
	return st.Resident, st.Cache != record.CacheUnverified
}

func openQuietly(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
}

// with calls f with the file, opened if it is not held, and its size.
func (h held) with(name string, f func(*os.File, int64) error) error {
	file := h[name]
	if file == nil {
		var err error
		if file, err = openQuietly(name); err != nil {
			return err
		}
		defer file.Close()
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return nil
	}
	return f(file, info.Size())
}

func pages(size int64) int64 {
	p := int64(os.Getpagesize())
	return (size + p - 1) / p
}

// errHidden says that the kernel does not tell this user what is cached.
var errHidden = errors.New("only the file's owner may see what is cached")

// resident returns how many pages of the file are in the page cache: by
// cachestat(2) of Linux 6.5, else by mincore(2). On overlayfs cachestat looks
// at an inode that never has pages; mincore sees the file below.
func resident(f *os.File, size int64) (int64, error) {
	if filesystemOf(f) != unix.OVERLAYFS_SUPER_MAGIC {
		crange := unix.CachestatRange{Off: 0, Len: uint64(size)}
		var cstat unix.Cachestat_t
		if unix.Cachestat(uint(f.Fd()), &crange, &cstat, 0) == nil {
			return int64(cstat.Cache), nil
		}
	}
	if !maySee(f) {
		return 0, errHidden // mincore would call every page resident
	}
	return mincore(f, size)
}

func filesystemOf(f *os.File) int64 {
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) != nil {
		return 0
	}
	return int64(st.Type)
}

// maySee asks what the kernel asks before mincore tells the truth: root, the
// owner, or someone who may write the file.
func maySee(f *os.File) bool {
	var st unix.Stat_t
	euid := os.Geteuid()
	if euid == 0 || unix.Fstat(int(f.Fd()), &st) == nil && int(st.Uid) == euid {
		return true
	}
	return unix.Access(f.Name(), unix.W_OK) == nil
}

func mincore(f *os.File, size int64) (int64, error) {
	mem, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_NONE, unix.MAP_SHARED)
	if err != nil {
		return 0, fmt.Errorf("mmap %s: %w", f.Name(), err)
	}
	defer unix.Munmap(mem) //nolint:errcheck // a private view; nothing to lose
	vec := make([]byte, pages(size))
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mem[0])), uintptr(len(mem)), uintptr(unsafe.Pointer(&vec[0])))
	if errno != 0 {
		return 0, fmt.Errorf("mincore %s: %w", f.Name(), errno)
	}
	var n int64
	for _, v := range vec {
		n += int64(v & 1)
	}
	return n, nil
}
