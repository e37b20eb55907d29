// Package buildinfo says which build of capsem-bench runs. The version is a
// constant of the sources, so that the guest binary, which no linker flag may
// touch, has it too; commit and date come from what the go command records.
package buildinfo

import (
	"fmt"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/capsem/capsem-bench/internal/record"
)

// Info is one build.
type Info struct {
	Version string `json:"version"`          // of the sources: "0.1.0"
	Module  string `json:"module,omitempty"` // version in the module cache, of 'go install'; "" from a checkout
	Commit  string `json:"commit,omitempty"`
	Dirty   bool   `json:"dirty"`          // files differed from the commit
	Date    string `json:"date,omitempty"` // of the commit, RFC 3339
	Go      string `json:"go"`             // "go1.26.8"
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// pseudo is a version that the go command makes of a commit.
var pseudo = regexp.MustCompile(`[-.](\d{14})-([0-9a-f]{12})(\+dirty)?$`)

// Of reads what the go command recorded in a binary.
func Of(b *debug.BuildInfo) Info {
	i := Info{Version: record.ToolVersion, Go: b.GoVersion}
	for _, s := range b.Settings {
		switch s.Key {
		case "vcs.revision":
			i.Commit = s.Value
		case "vcs.time":
			i.Date = s.Value
		case "vcs.modified":
			i.Dirty = s.Value == "true"
		case "GOOS":
			i.OS = s.Value
		case "GOARCH":
			i.Arch = s.Value
		}
	}
	if i.Commit != "" || b.Main.Version == "" || b.Main.Version == "(devel)" {
		return i // built in a checkout
	}
	i.Module = b.Main.Version
	if m := pseudo.FindStringSubmatch(b.Main.Version); m != nil {
		d := m[1]
		i.Commit, i.Dirty = m[2], m[3] != ""
		i.Date = fmt.Sprintf("%s-%s-%sT%s:%s:%sZ", d[:4], d[4:6], d[6:8], d[8:10], d[10:12], d[12:])
	}
	return i
}

// String is the build on one line: "0.1.0 (commit 1a2b3c4d5e6f, modified,
// 2026-11-30T12:00:00Z, go1.26.8, linux/amd64)".
func (i Info) String() string {
	var parts []string
	if i.Commit != "" {
		parts = append(parts, "commit "+i.Commit[:min(12, len(i.Commit))])
	}
	if i.Dirty {
		parts = append(parts, "modified")
	}
	if i.Date != "" {
		parts = append(parts, i.Date)
	}
	parts = append(parts, i.Go, i.OS+"/"+i.Arch)
	return i.Version + " (" + strings.Join(parts, ", ") + ")"
}
