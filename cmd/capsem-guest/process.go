package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/capsem/capsem-bench/internal/termtext"
)

// maxProcessName bounds the name; a metadata line may have 4 KiB in all.
const maxProcessName = 128

// processName returns the name that the gateway records for a process: the
// last part of its first argument, else what the kernel calls it, else
// "unknown". There is no /proc but on Linux.
func processName(pid int) string {
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if arg, _, _ := bytes.Cut(cmdline, []byte{0}); err == nil && len(arg) > 0 {
		return cleanName(filepath.Base(string(arg)))
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "unknown"
	}
	return cleanName(strings.TrimSuffix(string(comm), "\n"))
}

// cleanName makes a name fit for a line: a process chooses its own arguments,
// and a newline in them would end the metadata early.
func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		if !termtext.Visible(r) {
			return '_'
		}
		return r
	}, s)
	if len(s) > maxProcessName {
		s = strings.ToValidUTF8(s[:maxProcessName], "")
	}
	if strings.TrimSpace(s) == "" {
		return "unknown"
	}
	return s
}
