package guest

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/capsem/capsem-bench/internal/record"
	"golang.org/x/sys/unix"
)

// coldShare is how many of the pages may stay in the cache of a cold start:
// a file's header page often comes back while it is being looked at.
const coldShare = 0.01

// dropCaches is where root drops the page cache, dentries and inodes.
const dropCaches = "/proc/sys/vm/drop_caches"

// Drop writes back and drops the cached pages of the files and proves it. The
// files that cannot be opened count as neither cold nor warm. Without root
// only the pages of the files themselves are dropped, not the metadata.
func Drop(files []string) record.Status {
	var st record.Status
	unix.Sync()
	if err := os.WriteFile(dropCaches, []byte("3\n"), 0); err == nil {
		st.Dropped = "drop_caches"
	} else {
		st.Dropped = "fadvise"
		for _, name := range files {
			_ = withFile(name, func(f *os.File, _ int64) error {
				return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
			})
		}
	}
	prove(&st, files)
	return st
}

// prove counts the pages of the files that are in the page cache.
func prove(st *record.Status, files []string) {
	st.Cache = record.CacheCold
	for _, name := range files {
		err := withFile(name, func(f *os.File, size int64) error {
			n, err := resident(f, size)
			st.Resident += n
			st.Pages += pages(size)
			return err
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) {
			st.Cache = record.CacheUnverified
			return
		}
	}
	switch {
	case st.Pages == 0:
		st.Cache = record.CacheUnverified
	case float64(st.Resident) > coldShare*float64(st.Pages):
		st.Cache = record.CacheWarm
	}
}

func withFile(name string, f func(*os.File, int64) error) error {
	file, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer file.Close()
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

// resident returns how many pages of the file are in the page cache: by
// cachestat(2) of Linux 6.5, else by mincore(2).
func resident(f *os.File, size int64) (int64, error) {
	crange := unix.CachestatRange{Off: 0, Len: uint64(size)}
	var cstat unix.Cachestat_t
	err := unix.Cachestat(uint(f.Fd()), &crange, &cstat, 0)
	if err == nil {
		return int64(cstat.Cache), nil
	}
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EPERM) {
		return 0, fmt.Errorf("cachestat %s: %w", f.Name(), err)
	}
	return mincore(f, size)
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
