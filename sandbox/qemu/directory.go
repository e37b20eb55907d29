package qemu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"github.com/capsem/capsem-bench/internal/scratch"
)

// A machine has a directory: sockets, and what leads other commands of the
// user to it. It belongs to this user alone and is removed with the process
// that runs the machine. As its name is the machine's, no two machines have
// the same.

// The directories of machines are recognised by their names.
const (
	dirPrefix   = "capsem-vm-"
	probePrefix = dirPrefix + ".probe-" // no name of a machine begins with a dot
)

// ErrName says that a machine cannot have a name.
var ErrName = errors.New("unfit name")

// validName is what ssh takes for a host without changing it.
var validName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,27}$`) })

// CheckName reports whether a machine can have the name.
func CheckName(name string) error {
	if !validName().MatchString(name) {
		return fmt.Errorf("%w %.40q: want up to 28 of a-z, 0-9, _ and -, and a letter or digit first", ErrName, name)
	}
	return nil
}

// maxNames bounds the search for a free name.
const maxNames = 10000

// namedDir makes a machine's directory. Without a name it finds one.
func namedDir(name string) (string, *scratch.Dir, error) {
	base := machines()
	if name != "" {
		if err := CheckName(name); err != nil {
			return "", nil, err
		}
		dir, err := scratch.Make(filepath.Join(base, dirPrefix+name))
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%w %q: it is in use", ErrName, name)
		}
		return name, dir, err
	}
	for i := 1; ; i++ {
		name = fmt.Sprintf("vm%d", i)
		dir, err := scratch.Make(filepath.Join(base, dirPrefix+name))
		if !errors.Is(err, fs.ErrExist) || i == maxNames {
			return name, dir, err
		}
	}
}

// machines is where the directories of machines are; those whose process was
// killed are removed.
func machines() string {
	base := MachinesDir()
	scratch.Sweep(base, dirPrefix)
	return base
}

// MachinesDir is where the directories of machines are: the user's own runtime directory, where nobody else can take a
// name, else the directory for temporary files. A socket's path is short.
func MachinesDir() string {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	info, err := os.Stat(dir)
	if err != nil || !filepath.IsAbs(dir) || len(dir) > 58 || !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return scratch.Temp()
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Geteuid() {
		return scratch.Temp()
	}
	return dir
}

// ownDirs are the directories of this user's machines.
func ownDirs(base string) (dirs []string) {
	entries, _ := os.ReadDir(base) // what could be read
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.IsDir() || !strings.HasPrefix(e.Name(), dirPrefix) {
			continue
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) == os.Geteuid() {
			dirs = append(dirs, filepath.Join(base, e.Name()))
		}
	}
	return dirs
}

// isPrivate reports a directory that nobody else can have put a file into.
func isPrivate(dir string) bool {
	info, err := os.Lstat(dir)
	return err == nil && info.Mode().Perm()&0o077 == 0
}

// nameOf is the machine's name, as its directory has it.
func nameOf(dir string) string { return strings.TrimPrefix(filepath.Base(dir), dirPrefix) }
