package procstart

import (
	"bufio"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A Program is a command with the files that its start reads first.
type Program struct {
	// Files are its executable with links resolved, the interpreter of a
	// script, and the shared libraries that they name. What nearly every
	// system has mapped at any time (libc, the loader, a shell) is left out:
	// it cannot be dropped, and is not what a cold start waits for.
	Files []string
	// Wrapper says that the executable is a shell script: what it starts
	// cannot be known, so Files are not all.
	Wrapper bool
}

// FindProgram looks a command up in PATH. ok is false when it is not there.
func FindProgram(name string) (p Program, ok bool) {
	path, err := exec.LookPath(name)
	if err != nil {
		return p, false
	}
	for range 4 { // a script of a script of ... is no longer followed
		path, err = filepath.EvalSymlinks(path)
		if err != nil || slices.Contains(p.Files, path) {
			break
		}
		if p.Wrapper = len(p.Files) > 0 && shell(path); p.Wrapper {
			break
		}
		p.Files = append(p.Files, path)
		next := interpreter(path)
		if next == "" {
			p.Files = append(p.Files, libraries(path)...)
			break
		}
		path = next
	}
	return p, true
}

// interpreter returns the program of a "#!" line; that of "env NAME" is
// looked up in PATH.
func interpreter(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, _ := bufio.NewReaderSize(f, 512).ReadSlice('\n')
	text, ok := strings.CutPrefix(string(line), "#!")
	words := strings.Fields(text)
	if !ok || len(words) == 0 {
		return ""
	}
	if filepath.Base(words[0]) != "env" {
		return words[0]
	}
	for _, w := range words[1:] {
		if !strings.HasPrefix(w, "-") && !strings.Contains(w, "=") {
			found, _ := exec.LookPath(w)
			return found
		}
	}
	return ""
}

func shell(path string) bool {
	return slices.Contains([]string{"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"}, filepath.Base(path))
}

// libraries returns the shared libraries an executable names, where the usual
// directories have them.
func libraries(path string) []string {
	f, err := elf.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, err := f.ImportedLibraries()
	if err != nil {
		return nil
	}
	var out []string
	for _, name := range names {
		if common(name) || strings.ContainsRune(name, '/') {
			continue
		}
		for _, dir := range libraryDirs(path) {
			if lib, err := filepath.EvalSymlinks(filepath.Join(dir, name)); err == nil {
				out = append(out, lib)
				break
			}
		}
	}
	return out
}

// common reports the libraries that are mapped everywhere: those of glibc and
// of the compiler's runtime, and zlib.
func common(name string) bool {
	for _, p := range []string{
		"libc.", "libm.", "libdl.", "libpthread.", "librt.", "libutil.", "ld-linux", "libgcc_s.", "libstdc++.", "libz.",
	} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

func libraryDirs(path string) []string {
	dirs := []string{filepath.Join(filepath.Dir(filepath.Dir(path)), "lib"), "/usr/local/lib", "/usr/lib", "/lib", "/usr/lib64"}
	if multi, err := filepath.Glob("/usr/lib/*-linux-gnu"); err == nil {
		dirs = append(dirs, multi...)
	}
	return dirs
}
