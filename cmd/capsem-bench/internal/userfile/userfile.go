// Package userfile opens and replaces the files that people name on the
// command line. What is read is a regular file, or a pipe of the shell's: a
// FIFO or a device would block or never end. What is replaced is a file that
// the same command wrote before, and never one that is being read: benchmark
// text is the only copy of what was measured.
package userfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// Open opens a file for reading; the caller closes it. A directory, a device,
// a socket and a FIFO by name are errors. A pipe that the shell made for
// "<(command)" is a file too.
func Open(name string) (*os.File, error) {
	if info, err := os.Stat(name); err == nil { // else opening it says what is wrong
		if err := readable(name, info); err != nil {
			return nil, err
		}
	}
	// Between the two looks a FIFO may take the file's place, and must not block.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = readable(name, info)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Read returns the content of a file that Open opens.
func Read(name string) ([]byte, error) {
	f, err := Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func readable(name string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return fmt.Errorf("%s is a directory; want a file in it", name)
	case mode&fs.ModeNamedPipe != 0:
		if strings.HasPrefix(name, "/dev/fd/") || strings.HasPrefix(name, "/proc/self/fd/") || name == "/dev/stdin" {
			return nil
		}
		return fmt.Errorf("%s is a named pipe; want a regular file, or - for standard input", name)
	case mode&fs.ModeSocket != 0:
		return fmt.Errorf("%s is a socket; want a regular file", name)
	}
	return fmt.Errorf("%s is a device; want a regular file, or - for standard input", name)
}

// A Kind recognises the content of files that a command writes.
type Kind struct {
	Name string // as in "is not a JSON document of capsem-bench"
	Ours func(content []byte) bool
}

// Document is the JSON document of a measurement.
func Document() Kind {
	return Kind{"a JSON document of capsem-bench", func(content []byte) bool {
		var doc struct {
			Own json.RawMessage `json:"capsem_bench"`
		}
		return json.Unmarshal(content, &doc) == nil && len(doc.Own) > 0
	}}
}

// ImportedText is benchmark text that import made of a JSON document. Text
// that was measured is not.
func ImportedText() Kind {
	return Kind{"text that import wrote", func(content []byte) bool {
		line, _, _ := bytes.Cut(content, []byte("\n"))
		object, ok := bytes.CutPrefix(line, []byte("#capsem "))
		var run struct {
			Type   string `json:"type"`
			Source string `json:"source"`
		}
		return ok && json.Unmarshal(object, &run) == nil && run.Type == "run" && run.Source != ""
	}}
}

// maxReplaced bounds a file that is looked at before it is replaced.
const maxReplaced = 256 << 20

// Replaceable returns an error unless a file may be written: it is not there,
// empty, a pipe or device, or of the kind. inputs are the files that are read,
// by whatever name.
func Replaceable(name string, kind Kind, inputs ...fs.FileInfo) error {
	info, err := os.Stat(name)
	if err != nil {
		return nil // it is not there, or writing it says what is wrong
	}
	for _, in := range inputs {
		if in != nil && os.SameFile(in, info) && !isDevice(info) {
			return fmt.Errorf("%s is what is read, and would be replaced; choose another name", name)
		}
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return fmt.Errorf("%s is a directory; want a file in it", name)
	case !mode.IsRegular() || info.Size() == 0:
		return nil
	case info.Size() <= maxReplaced:
		content, err := Read(name)
		if err != nil {
			return err
		}
		if kind.Ours(content) {
			return nil
		}
	}
	return fmt.Errorf("%s is there and not %s; choose another name, or remove it", name, kind.Name)
}

// isDevice reports whether input and output may be the same: a terminal.
func isDevice(info fs.FileInfo) bool { return info.Mode()&fs.ModeDevice != 0 }
