package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// openFiles is the limit of open files of every process, as Capsem's init sets
// it: its rootfs benchmark keeps some 1,700 files open.
const openFiles = 65536

// queue are the settings of the disks' queues, as Capsem's init writes them.
func queue() map[string]string {
	return map[string]string{"read_ahead_kb": "4096", "scheduler": "none", "nr_requests": "256"}
}

// tune sets limits and disk queues as in Capsem's guest, for figures depend on
// both. Whoever starts a process hands the limit on.
func tune() {
	// syscall's function also keeps the Go runtime from putting the old limit
	// back for children (go.dev/issue/46279).
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: openFiles, Max: openFiles}); err != nil {
		fmt.Println("setting the limit of open files:", err)
	}
	disks, _ := filepath.Glob("/sys/block/vd*") // a constant pattern
	for _, disk := range disks {
		for name, value := range queue() {
			// A kernel may have less room in a queue, or no schedulers.
			if err := os.WriteFile(filepath.Join(disk, "queue", name), []byte(value), 0); err != nil {
				fmt.Println("setting a disk's queue:", err)
			}
		}
	}
}
