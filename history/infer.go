package history

import (
	"encoding/json"
	"path/filepath"
	"regexp"
)

// release finds the version in the names that Capsem gave its result files:
// data_1.3.1782571508_arm64.json, fork_0.16.1.json.
var release = regexp.MustCompile(`_(\d+\.\d+\.\d+)(?:_[a-z0-9_]+)?\.json$`)

// Infer returns the labels that a document says itself: in its name, or as
// the keys project_version and git.commit of Capsem's artifact wrapper.
func Infer(d Document) Labels {
	out := make(Labels)
	if m := release.FindStringSubmatch(filepath.Base(d.Name)); m != nil {
		out["release"] = m[1]
	}
	var doc struct {
		Version string `json:"project_version"`
		Git     struct {
			Commit string `json:"commit"`
		} `json:"git"`
	}
	if json.Unmarshal(d.Data, &doc) != nil {
		return out // text, or a document whose keys mean something else
	}
	for key, value := range map[string]string{"release": doc.Version, "commit": doc.Git.Commit} {
		if l, err := ParseLabels([]string{key + "=" + value}); err == nil {
			out[key] = l[key]
		}
	}
	return out
}
