package snapshot

import (
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// home is where the guest has the workspace.
const home = "/root/"

// maxPath is the longest path, in bytes: the kernel's bound (PATH_MAX) less the
// NUL at its end.
const maxPath = 4095

// CleanPath returns the path of a file below the workspace as the guest names
// it: relative, or absolute below /root. As in Capsem two dots are refused
// wherever they are, also in "a..b".
func CleanPath(p string) (string, error) {
	p = strings.TrimPrefix(p, home)
	switch {
	case p == "":
		return "", invalid("invalid path: path is empty")
	case len(p) > maxPath:
		return "", invalid("invalid path: path is longer than %d bytes", maxPath)
	case strings.HasPrefix(p, "/"):
		return "", invalid("invalid path: path must be relative to the workspace")
	case strings.Contains(p, ".."):
		return "", invalid("invalid path: path must not contain '..'")
	case strings.IndexByte(p, 0) >= 0:
		return "", invalid("invalid path: path must not contain NUL")
	}
	p = path.Clean(p)
	if p == "." {
		return "", invalid("invalid path: path is the workspace itself")
	}
	return p, nil
}

// maxName is the longest name, in characters.
const maxName = 64

// CheckName reports whether a snapshot may have the name.
func CheckName(name string) error {
	if n := utf8.RuneCountInString(name); n < 1 || n > maxName {
		return invalid("invalid name: name must be 1-%d characters", maxName)
	}
	for _, r := range name {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '-':
		default:
			return invalid("invalid name: name must be alphanumeric, underscore, or hyphen only")
		}
	}
	return nil
}

const idPrefix = "cp-"

// ID returns the checkpoint that a slot is called.
func ID(slot int) string { return idPrefix + strconv.Itoa(slot) }

// ParseID returns the slot of a checkpoint, which need not exist.
func ParseID(id string) (int, error) {
	digits, ok := strings.CutPrefix(id, idPrefix)
	n, err := strconv.ParseUint(digits, 10, 31)
	if !ok || err != nil {
		return 0, invalid("invalid checkpoint ID: %q", id)
	}
	return int(n), nil
}
