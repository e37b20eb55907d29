package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptPrintable holds stdout or stderr to what a terminal shows as it is:
// valid UTF-8 without control characters: printable stderr.
func scriptPrintable(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: printable stdout|stderr")
	}
	text := ts.ReadFile(args[0])
	if text == "" {
		ts.Fatalf("%s is empty", args[0])
	}
	for i, r := range text {
		if r != '\n' && (!unicode.IsPrint(r) || r == utf8.RuneError) {
			ts.Fatalf("%s has %U at byte %d: %q", args[0], r, i, text[max(0, i-40):min(len(text), i+40)])
		}
	}
}

// scriptNothingLeft holds a page to leave no process of its own, no sandbox
// and no temporary file: nothing-left.
func scriptNothingLeft(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: nothing-left")
	}
	work := ts.Getenv("WORK")
	deadline := time.Now().Add(10 * time.Second)
	for left := processesWith("WORK=" + work); len(left) > 0; left = processesWith("WORK=" + work) {
		if time.Now().After(deadline) {
			ts.Fatalf("processes left: %v", left)
		}
		time.Sleep(10 * time.Millisecond)
	}
	var files []string
	ts.Check(filepath.WalkDir(work, func(path string, _ fs.DirEntry, err error) error {
		temporary := filepath.Dir(path) == ts.Getenv("TMPDIR")
		if name := filepath.Base(path); temporary || strings.HasPrefix(name, ".sandbox-") || strings.HasPrefix(name, ".writable-") {
			files = append(files, path)
		}
		return err
	}))
	if len(files) > 0 {
		ts.Fatalf("files left: %v", files)
	}
}

// processesWith lists the processes that have a variable in their environment.
func processesWith(variable string) (out []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err == nil && slices.ContainsFunc(bytes.Split(text, []byte{0}), func(kv []byte) bool { return string(kv) == variable }) {
			out = append(out, filepath.Dir(f))
		}
	}
	return out
}
