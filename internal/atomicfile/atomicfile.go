// Package atomicfile writes files whole or not at all: to a temporary name in
// the same directory, synced, then renamed. A reader sees the old content or
// the new one, also after a full disk or a kill. Where the system has files
// without a name (open(2), O_TMPFILE), it gets that name when it is whole, so
// that a kill before that leaves nothing.
package atomicfile

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Write makes data the content of the named file, with mode 0644. An error
// names the file, and the file is then as it was. What is no regular file,
// such as /dev/stdout or a pipe, is written to as it is. A symbolic link stays
// one: the file that it leads to is written.
func Write(name string, data []byte) error {
	return WriteFrom(name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteFrom is Write of what a function writes; its error keeps the file as it
// was.
func WriteFrom(name string, write func(io.Writer) error) (err error) {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return writeThrough(name, write)
	}
	dir, base := filepath.Split(name)
	f, unnamed := withoutName(filepath.Clean(dir))
	if !unnamed {
		f, err = os.CreateTemp(filepath.Clean(dir), "."+base+"-*")
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, cause(err))
	}
	temp := ""
	if !unnamed {
		temp = f.Name()
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			if temp != "" {
				_ = os.Remove(temp)
			}
			err = fmt.Errorf("writing %s: %w", name, cause(err))
		}
	}()
	buf := bufio.NewWriter(f)
	if err = write(buf); err != nil {
		return err
	}
	if err = buf.Flush(); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if unnamed {
		if err = link(f, name); !errors.Is(err, os.ErrExist) {
			return err // it was new, and is there
		}
		temp = filepath.Join(dir, "."+base+"-"+rand.Text()[:10])
		if err = link(f, temp); err != nil {
			return err
		}
	}
	return os.Rename(temp, name)
}

// writeThrough writes to what is no regular file.
func writeThrough(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err == nil {
		err = errors.Join(write(f), f.Close())
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, cause(err))
	}
	return nil
}

// Try finds out whether a file can be made in a directory; the error names the
// directory.
func Try(dir string) error {
	f, err := os.CreateTemp(dir, ".writable-*")
	if err == nil {
		_ = f.Close()
		err = os.Remove(f.Name())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", dir, cause(err))
	}
	return nil
}

// cause drops the name of a temporary file that nobody asked for.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
