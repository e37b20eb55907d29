// Package cachedir is the user's cache directory of capsem-bench, which has
// programs in it: anyone who can write there can run code as the user. So there
// is no fallback for a user without a cache directory, and a directory that
// another user owns or may write to is refused.
package cachedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ErrUnsafe says that the cache directory may have been filled by somebody else.
var ErrUnsafe = errors.New("unsafe cache directory")

// Path returns the name of the cache directory and makes nothing: capsem-bench
// in $XDG_CACHE_HOME or the directory that the system has for caches below
// $HOME.
func Path() (string, error) {
	base, err := os.UserCacheDir()
	if err == nil && !filepath.IsAbs(base) {
		err = fmt.Errorf("$HOME is the relative path %q", os.Getenv("HOME"))
	}
	if err != nil {
		return "", fmt.Errorf("finding the cache directory: %w; set HOME or XDG_CACHE_HOME to a directory of your own", err)
	}
	return filepath.Join(base, "capsem-bench"), nil
}

// Make returns a directory below the cache directory, which it makes if need
// be, with the given names one below the other.
func Make(names ...string) (string, error) {
	dir, err := Path()
	if err != nil {
		return "", err
	}
	base := filepath.Dir(dir)
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", fmt.Errorf("making the cache directory: %w; set HOME or XDG_CACHE_HOME", err)
	}
	if err := safe(base, false); err != nil {
		return "", err
	}
	for _, name := range append([]string{""}, names...) {
		dir = filepath.Join(dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return "", fmt.Errorf("making the cache directory: %w", err)
		}
		if err := safe(dir, true); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// safe refuses a directory into which somebody else can put things, or which
// can be put in the place of another. The one above ours may be root's, and
// everybody's if it is sticky: then nobody else can rename what is in it.
func safe(dir string, own bool) error {
	look := os.Stat // the one above may be a link of the user's
	if own {
		look = os.Lstat
	}
	info, err := look(dir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsafe, err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	why := ""
	switch mode := info.Mode(); {
	case !info.IsDir():
		why = "it is not a directory"
	case !ok:
	case int(stat.Uid) != os.Geteuid() && (own || stat.Uid != 0):
		why = fmt.Sprintf("it belongs to the user with number %d", stat.Uid)
	case mode&0o002 != 0 && (own || mode&os.ModeSticky == 0):
		why = "everybody may write to it"
	case mode&0o020 != 0 && int(stat.Gid) != os.Getegid() && (own || mode&os.ModeSticky == 0):
		why = fmt.Sprintf("the group with number %d may write to it", stat.Gid)
	}
	if why == "" {
		return nil
	}
	return fmt.Errorf("%w %s: %s, and programs from it would be run; remove it, or set XDG_CACHE_HOME to a directory of your own", ErrUnsafe, dir, why)
}
