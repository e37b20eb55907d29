package guest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

// Home returns the directory to work in: CAPSEM_BENCH_DIR, else the home
// directory.
func Home() (string, error) {
	if dir := os.Getenv(catalogue.EnvDir); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home directory; set %s", catalogue.EnvDir)
	}
	return dir, nil
}

// WorkDirIn makes a fresh directory ".capsem-bench-<random>" under the given
// parent. The caller removes it with remove; a signal or the watchdog does so
// for it. Only the new directory is ever removed.
func WorkDirIn(parent string) (dir string, remove func() error, err error) {
	var random [6]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", nil, err
	}
	dir = filepath.Join(parent, ".capsem-bench-"+hex.EncodeToString(random[:]))
	remove = OnExit(dir, func() error { return os.RemoveAll(dir) })
	if err := os.Mkdir(dir, 0o700); err != nil {
		_ = remove()
		return "", nil, fmt.Errorf("cannot work in %s: %w; set %s to a writable directory", parent, unwrapPath(err), catalogue.EnvDir)
	}
	return dir, remove, nil
}

// unwrapPath drops the path that the message names already.
func unwrapPath(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// OnExit registers undo under a key that is unique to it and returns a
// function that runs it once. If a signal or the watchdog ends the process
// first, they run it.
func OnExit(key string, undo func() error) func() error {
	r := current.Load()
	once := sync.OnceValue(undo)
	if r == nil {
		return once
	}
	r.mu.Lock()
	r.remove[key] = once
	r.mu.Unlock()
	return func() error {
		err := once()
		r.mu.Lock()
		delete(r.remove, key)
		r.mu.Unlock()
		return err
	}
}
