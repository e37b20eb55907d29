package guest

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

// Storages are the settings of storage.
type Storages struct {
	Dirs []string          // in the order of the setting, by the names of operations
	Path map[string]string // by that name
	Size int64             // bytes of a sequential file
}

// StorageSettings reads the settings of storage from the environment.
func StorageSettings() (Storages, error) {
	s := Storages{Path: make(map[string]string)}
	mb, err := strconv.Atoi(cmp.Or(os.Getenv(catalogue.EnvStorageMB), strconv.Itoa(catalogue.DefaultStorageMB)))
	if err != nil || mb < 1 || mb > 1<<20 {
		return s, fmt.Errorf("%s=%q: want MiB, from 1 to 1048576", catalogue.EnvStorageMB, os.Getenv(catalogue.EnvStorageMB))
	}
	s.Size = int64(mb) << 20
	text := cmp.Or(os.Getenv(catalogue.EnvStorageDirs), catalogue.DefaultStorageDirs)
	for dir := range strings.SplitSeq(text, ",") {
		dir = filepath.Clean(strings.TrimSpace(dir))
		name := catalogue.StorageDir(dir)
		if !filepath.IsAbs(dir) || name == "" || strings.ContainsFunc(name, isNoNamePart) {
			return s, fmt.Errorf("%s=%q: want absolute directories with commas between them, of letters, digits, '.', '-' and '_'", catalogue.EnvStorageDirs, text)
		}
		if have, ok := s.Path[name]; ok && have != dir {
			return s, fmt.Errorf("%s=%q: %s and %s would be one operation", catalogue.EnvStorageDirs, text, have, dir)
		} else if !ok {
			s.Dirs, s.Path[name] = append(s.Dirs, name), dir
		}
	}
	return s, nil
}

// isNoNamePart keeps out what separates parts of a benchmark's name, and what
// package testing would rewrite in it.
func isNoNamePart(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
}

// Ops are the operations in all directories.
func (s Storages) Ops() []catalogue.Op {
	var ops []catalogue.Op
	for _, dir := range s.Dirs {
		ops = append(ops, catalogue.StorageOps(dir)...)
	}
	return ops
}
