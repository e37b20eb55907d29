package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/contract"
	"golang.org/x/sys/unix"
)

// Decides returns the settings that the sandboxes of this package decide
// themselves: they make the workspace and know what they are.
func Decides() []string {
	return []string{catalogue.EnvWorkspace, catalogue.EnvSandbox, catalogue.EnvAccel, catalogue.EnvImage, catalogue.EnvHostCaches, catalogue.EnvDirect}
}

// Handed returns the settings of an environment that a sandbox hands to its
// guest: what is measured, and where, as far as the sandbox does not decide
// that itself.
func Handed(env []string, decides ...string) []string {
	out := catalogue.SettingsOf(env, catalogue.ForWork, catalogue.ForPlace)
	for _, name := range []string{contract.EnvSnapshotsTimeout, contract.EnvGatewayTimeout} {
		if value := Lookup(env, name); value != "" {
			out = append(out, name+"="+value)
		}
	}
	return slices.DeleteFunc(out, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(decides, name)
	})
}

// Kept returns a remark on every setting of an environment that a sandbox does
// not hand to its guest although it is about the guest.
func Kept(env []string, sandbox string, decides ...string) (remarks []string) {
	for _, kv := range catalogue.SettingsOf(env, catalogue.ForWork, catalogue.ForPlace) {
		name, value, _ := strings.Cut(kv, "=")
		if slices.Contains(decides, name) && value != "" {
			remarks = append(remarks, fmt.Sprintf("%s has no effect: sandbox %s does not pass it on", name, sandbox))
		}
	}
	return remarks
}

// WithoutSecrets drops the variables of an environment that are the business
// of a CI system or of its services, for code that is measured may be a
// stranger's: tokens, and the names of the files by which a step tells its
// runner what to do next.
func WithoutSecrets(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		name = strings.ToUpper(name)
		for _, prefix := range []string{"GITHUB_", "ACTIONS_", "RUNNER_", "INPUT_", "GITLAB_", "CI_", "BUILDKITE_"} {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		for _, word := range []string{"TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "API_KEY", "ACCESS_KEY", "PRIVATE_KEY"} {
			if strings.Contains(name, word) {
				return true
			}
		}
		return false
	})
}

// ErrDir says that CAPSEM_BENCH_DIR names no directory of the machine that is
// measured in which files can be made.
var ErrDir = errors.New("the directory to work in")

// localDir returns the user's directory to work in, "" without one.
func localDir(env []string) (string, error) {
	dir := Lookup(env, catalogue.EnvDir)
	if dir == "" {
		return "", nil
	}
	abs, err := filepath.Abs(dir)
	if err == nil {
		var info os.FileInfo
		if info, err = os.Stat(abs); err == nil && !info.IsDir() {
			err = errors.New("not a directory")
		}
	}
	if err == nil {
		err = unix.Access(abs, unix.W_OK|unix.X_OK)
	}
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if err != nil {
		return "", fmt.Errorf("%w: %s=%s: %w", ErrDir, catalogue.EnvDir, dir, err)
	}
	return abs, nil
}

// guestDir checks that a directory to work in can be one of a guest's.
func guestDir(env []string) (string, error) {
	dir := Lookup(env, catalogue.EnvDir)
	if dir != "" && !filepath.IsAbs(dir) {
		return "", fmt.Errorf("%w: %s=%s: want an absolute path, for it is a directory of the guest", ErrDir, catalogue.EnvDir, dir)
	}
	return dir, nil
}

// urls are what the guest will ask the proxy for.
func urls(env []string) []string {
	return []string{Lookup(env, catalogue.EnvURL), Lookup(env, catalogue.EnvThroughputURL), Lookup(env, catalogue.EnvLoadTarget), catalogue.DefaultLoadTarget}
}

// Lookup is os.Getenv of an environment, in which the last of a name counts.
func Lookup(env []string, key string) string {
	for _, kv := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(kv, key+"="); ok {
			return v
		}
	}
	return ""
}
