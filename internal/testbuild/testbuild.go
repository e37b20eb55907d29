// Package testbuild builds the programs that tests run, once for all test
// packages, and tells the go command what a test's result depends on.
//
// A program is built into a directory of this checkout's own below the user's
// cache directory, under a lock. Where it is there and no file of the checkout
// has another size or time than when it was built, nothing is done. The
// alternatives were a build per test package into a temporary directory, which
// linked each program up to four times in one run of all tests, and to ask the
// go command each time, which takes 0.5 s of processor time, in 10 packages for
// up to 5 programs each. Nothing but tests imports this package.
package testbuild

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

const module = "github.com/capsem/capsem-bench"

// Guest returns the path of the guest binary.
func Guest(t testing.TB) string { return Build(t, "capsem-bench.test", nil, "test", "-c", module) }

// Command returns the path of the command.
func Command(t testing.TB) string {
	return Build(t, "capsem-bench", nil, "build", module+"/cmd/capsem-bench")
}

// Tools returns the path of the guest's commands.
func Tools(t testing.TB) string {
	return Build(t, "capsem-guest", nil, "build", module+"/cmd/capsem-guest")
}

// Build returns the path of a static program of that name. args are those of
// the go command without -o, the package last; env is added to its
// environment. The file is shared: a test must neither change nor remove it.
func Build(t testing.TB, name string, env []string, args ...string) string {
	t.Helper()
	key := strings.Join(append(append([]string{name}, env...), args...), "\x00")
	once, _ := built.LoadOrStore(key, sync.OnceValues(func() (string, error) { return build(name, env, args) }))
	path, err := once.(func() (string, error))()
	if err != nil {
		t.Fatalf("building %s for tests: %v", name, err)
	}
	return path
}

// built has a function for each program that this process asked for: even to
// find that nothing is to be done takes the go command 0.3 s.
var built sync.Map

// stripped leaves out what debuggers read: that takes a third of the linking.
const stripped = "-ldflags=-s -w"

func build(name string, env, args []string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	state, err := stateOf(root, args[len(args)-1])
	if err != nil {
		return "", err
	}
	dir, err := directory(root, env, args)
	if err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	out, last := filepath.Join(dir, name), len(args)-1
	stamp := filepath.Join(dir, "stamp")
	if text, err := os.ReadFile(stamp); err == nil && string(text) == state+describe(out) {
		return out, nil
	}
	cmd := exec.Command("go", append(args[:last:last], stripped, "-o", out, args[last])...)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, text)
	}
	return out, os.WriteFile(stamp, []byte(state+describe(out)), 0o600)
}

// describe is a file's name, size, time and mode: another content without
// another of these is not looked for.
func describe(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return path + " is not there\n"
	}
	return fmt.Sprintln(path, info.Size(), info.ModTime().UnixNano(), info.Mode())
}

// directory makes the directory of one way to build one program: one file name
// may be built in several ways, and by several checkouts.
func directory(root string, env, args []string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	key := sha256.Sum256([]byte(strings.Join(append(append([]string{root, runtime.Version(), stripped}, env...), args...), "\x00")))
	dir := filepath.Join(cache, "capsem-bench", "tests", hex.EncodeToString(key[:8]))
	return dir, os.MkdirAll(dir, 0o700)
}

// lock waits for other test packages that build the same.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
	}
}

// Root returns the directory of the checkout.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module "+module+"\n") {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod of %s above the working directory", module)
		}
		dir = parent
	}
}

// stateOf is a digest of what a build depends on: every file of the checkout, a
// source elsewhere, the go command and its settings.
//
// It opens every directory. The go command keeps a test's result as long as the
// files are unchanged that the test opened, and looks at a directory's entries
// with their sizes and times; of what a child process opens it knows nothing.
// Without this a change of a benchmark would leave "ok (cached)" standing for
// the tests that run it.
func stateOf(root, source string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			_, err := io.WriteString(h, describe(path))
			return err
		case path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "results"):
			return filepath.SkipDir
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return f.Close()
	})
	if err != nil {
		return "", err
	}
	program, err := exec.LookPath("go")
	if err != nil {
		return "", err
	}
	for _, path := range []string{program, source, filepath.Join(os.Getenv("HOME"), ".config", "go", "env")} {
		_, _ = io.WriteString(h, describe(path))
	}
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "GO") {
			_, _ = io.WriteString(h, variable+"\n")
		}
	}
	return hex.EncodeToString(h.Sum(nil)) + "\n", nil
}
