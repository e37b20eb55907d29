package guest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Home returns the directory to work in: CAPSEM_BENCH_DIR, else the home
// directory.
func Home() (string, error) {
	if dir := os.Getenv(EnvDir); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home directory; set %s", EnvDir)
	}
	return dir, nil
}

// WorkDir makes a fresh directory ".capsem-bench-<random>" under Home. The
// caller removes it with remove; a signal or the watchdog does so for it.
func WorkDir() (dir string, remove func() error, err error) {
	home, err := Home()
	if err != nil {
		return "", nil, err
	}
	return WorkDirIn(home)
}

// WorkDirIn is WorkDir under the given parent. Only the new directory is ever
// removed.
func WorkDirIn(parent string) (dir string, remove func() error, err error) {
	var random [6]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", nil, err
	}
	dir = filepath.Join(parent, ".capsem-bench-"+hex.EncodeToString(random[:]))
	remove = onExit(dir, func() error { return os.RemoveAll(dir) })
	if err := os.Mkdir(dir, 0o700); err != nil {
		_ = remove()
		return "", nil, fmt.Errorf("cannot work in %s: %w; set %s to a writable directory", parent, unwrapPath(err), EnvDir)
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

// onExit registers undo under a key that is unique to it and returns a
// function that runs it once. If a signal or the watchdog ends the process
// first, they run it.
func onExit(key string, undo func() error) func() error {
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

// OnExit runs undo when the returned function is called, or when the context
// of the run ends the process before that; once in any case.
func OnExit(_ context.Context, key string, undo func() error) func() error {
	return onExit(key, undo)
}
