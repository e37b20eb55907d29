package guest

import (
	"bufio"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ProgramFiles returns the files that a start of the named program reads
// first: its executable with links resolved, the interpreter of a script, and
// the shared libraries the executables name. What nearly every system has
// mapped at any time (libc, the loader, a script's shell) is left out: it
// cannot be dropped and is not what a cold start waits for. ok is false when
// PATH has no such program.
func ProgramFiles(name string) (files []string, ok bool) {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, false
	}
	for range 4 { // a script of a script of ... is no longer followed
		path, err = filepath.EvalSymlinks(path)
		if err != nil || slices.Contains(files, path) || len(files) > 0 && shell(path) {
			break
		}
		files = append(files, path)
		next := interpreter(path)
		if next == "" {
			files = append(files, libraries(path)...)
			break
		}
		path = next
	}
	return files, true
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
	if !ok {
		return ""
	}
	words := strings.Fields(text)
	if len(words) == 0 {
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

// shell reports whether the program is a shell.
func shell(path string) bool {
	return slices.Contains([]string{"sh", "bash", "dash", "busybox"}, filepath.Base(path))
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

// common reports the libraries of glibc, which are mapped everywhere.
func common(name string) bool {
	for _, p := range []string{"libc.", "libm.", "libdl.", "libpthread.", "librt.", "libutil.", "ld-linux", "libgcc_s.", "libstdc++.", "libz."} {
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
