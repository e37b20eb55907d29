package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/capsem/capsem-bench/internal/termtext/layout"
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

// scriptNarrower holds the lines of stdout or stderr to a width: narrower stderr
// 40.
func scriptNarrower(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: narrower stdout|stderr COLUMNS")
	}
	most, err := strconv.Atoi(args[1])
	ts.Check(err)
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if line = strings.TrimRight(line, "\n"); layout.Width(line) > most {
			ts.Fatalf("%d columns: %s", layout.Width(line), line)
		}
	}
}

// scriptSchema holds stdout to docs/NAME.schema.json: schema NAME stdout. With !
// the schema has to refuse it. That of results is docs/schema.json.
func scriptSchema(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: schema NAME stdout")
	}
	file := args[0] + ".schema.json"
	if args[0] == "result" {
		file = "schema.json"
	}
	switch err := checkSchema(file, []byte(ts.ReadFile(args[1]))); {
	case err != nil && !neg:
		ts.Fatalf("%s is not what docs/%s.schema.json says: %v", args[1], args[0], err)
	case err == nil && neg:
		ts.Fatalf("docs/%s.schema.json takes %s", args[0], args[1])
	}
}

// scriptNothingLeft holds a page to leave no process of its own, no sandbox
// and no temporary file: nothing-left.
func scriptNothingLeft(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: nothing-left")
	}
	work := ts.Getenv("WORK")
	deadline := time.Now().Add(time.Minute)
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

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// pageCommands returns the blocks of commands of a page, in order.
func pageCommands(text []byte) (blocks []string) {
	for _, m := range shellBlock.FindAllSubmatch(text, -1) {
		blocks = append(blocks, string(m[1]))
	}
	return blocks
}

// scriptPageCommands writes the commands of a page into a file:
// page-commands PAGE FILE.
func scriptPageCommands(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: page-commands PAGE FILE")
	}
	blocks := pageCommands([]byte(ts.ReadFile(args[0])))
	if len(blocks) == 0 {
		ts.Fatalf("%s has no block of commands", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.Join(blocks, "")), 0o644))
}
