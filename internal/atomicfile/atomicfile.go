// Package atomicfile writes files whole or not at all: to a temporary name in
// the same directory, synced, then renamed. A reader sees the old content or
// the new one, also after a full disk or a kill.
package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Write makes data the content of the named file, with mode 0644. An error
// names the file, and the file is then as it was. What is no regular file,
// such as /dev/stdout or a pipe, is written to as it is.
func Write(name string, data []byte) (err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, cause(err))
		}
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, cause(err))
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
			err = fmt.Errorf("writing %s: %w", name, cause(err))
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
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
