package sandbox

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/capsem/capsem-bench/internal/record"
)

// installed is where an artifact may be whose command was installed: in the
// same directory, as in an archive, or in the lib directory beside it, as in a
// package, where what only a guest runs is not in anybody's PATH. Links are
// followed: a package manager's bin has nothing but links.
func (a Artifact) installed(exe string) []string {
	dirs := []string{filepath.Dir(exe)}
	if target, err := filepath.EvalSymlinks(exe); err == nil && filepath.Dir(target) != dirs[0] {
		dirs = append(dirs, filepath.Dir(target))
	}
	var out []string
	for _, dir := range dirs {
		out = append(out, filepath.Join(dir, a.Name), filepath.Join(dir, "..", "lib", "capsem-bench", a.Name))
	}
	return out
}

// A release is where archives with every part are.
const release = "https://" + Module + "/releases"

// fromModule builds the artifact from this command's own sources in the module
// cache. Neither the working directory nor a workspace has a part in it.
func (a Artifact) fromModule(ctx context.Context, notify func(what string)) (string, error) {
	version := installedVersion(debug.ReadBuildInfo())
	tool, toolErr := exec.LookPath("go")
	if version == "" || toolErr != nil {
		return "", a.missing()
	}
	notify("fetching the sources of " + version)
	cmd := exec.CommandContext(ctx, tool, "mod", "download", "-json", Module+"@"+version)
	cmd.Dir = "/" // a go.mod above the working directory has no say
	cmd.Env = append(os.Environ(), moduleEnv()...)
	out, err := cmd.Output()
	var sources struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &sources); err != nil || jsonErr != nil || sources.Dir == "" {
		return "", fmt.Errorf("%w\nthe sources of %s could not be had to build it: %s", a.missing(), version,
			cmp.Or(sources.Error, string(bytes.TrimSpace(out)), fmt.Sprint(err)))
	}
	notify("building " + a.Name)
	return a.build(ctx, sources.Dir, moduleEnv()...)
}

// moduleEnv keeps what is set for other work, such as a workspace or -mod, from
// a build in the module cache.
func moduleEnv() []string { return []string{"GOWORK=off", "GOFLAGS="} }

// installedVersion is the version of a command that was built from the module
// cache, else "": only there a sum is known.
func installedVersion(info *debug.BuildInfo, ok bool) string {
	if !ok || info.Main.Path != Module || info.Main.Sum == "" {
		return ""
	}
	return info.Main.Version
}

// missing says which archive has the artifact. That of a Mac has those of both
// architectures, that of a Linux machine those of its own.
func (a Artifact) missing() error {
	arch := runtime.GOARCH
	if runtime.GOOS == "linux" && a.arch != "" {
		arch = a.arch
	}
	archive := fmt.Sprintf("capsem-bench_%s_%s_%s.tar.gz", record.ToolVersion, runtime.GOOS, arch)
	return fmt.Errorf("%s: %w beside this command or in PATH, and this is no checkout to build it from; %s of %s has it, or set %s",
		a.Name, ErrNoArtifact, archive, release, a.Env)
}
