package main

import (
	"context"
	gobuildinfo "debug/buildinfo"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/buildinfo"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// labelWords are the labels of one side, as the guest's variable has them. What
// is said of a side goes before what is said of both, and that before what was
// found; the environment is last, since it cannot know of two builds.
func (o *abOptions) labelWords(s *sideOptions, found map[string]string) (string, error) {
	var own []string
	for _, kv := range s.env {
		if words, ok := strings.CutPrefix(kv, catalogue.EnvLabels+"="); ok {
			own = strings.Split(words, ",")
		}
	}
	var environment []string
	if words := os.Getenv(catalogue.EnvLabels); words != "" {
		environment = strings.Split(words, ",")
	}
	out := make(map[string]string)
	for _, words := range [][]string{environment, printable(found), o.labels, own, s.labels} {
		labels, err := record.ParseLabels(words)
		if err != nil {
			return "", err
		}
		maps.Copy(out, labels)
	}
	return joinLabels(out), nil
}

// printable leaves out what was found and cannot be a label, such as a tag
// with a comma.
func printable(found map[string]string) []string {
	var out []string
	for k, v := range found {
		if _, err := record.ParseLabels([]string{k + "=" + v}); err == nil {
			out = append(out, k+"="+v)
		}
	}
	return out
}

func joinLabels(labels map[string]string) string {
	words := make([]string, 0, len(labels))
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		words = append(words, k+"="+labels[k])
	}
	return strings.Join(words, ",")
}

// labelsOfCommit are the commit, and the release where a tag is on it.
func labelsOfCommit(ctx context.Context, dir, commit string) map[string]string {
	out := map[string]string{"commit": shortCommit(commit, false)}
	if tag, err := git(ctx, "-C", dir, "describe", "--tags", "--exact-match", commit); err == nil {
		out["release"] = strings.TrimPrefix(tag, "v")
	}
	return out
}

// labelsOfCheckout are those of its commit; of a checkout with changes, the
// commit and that there are some. Without git there are none.
func labelsOfCheckout(ctx context.Context, dir string) map[string]string {
	commit, err := git(ctx, "-C", dir, "rev-parse", "--verify", "--quiet", "HEAD")
	if err != nil {
		return nil
	}
	changed, err := git(ctx, "-C", dir, "status", "--porcelain", "--", ".")
	if err != nil {
		return nil
	}
	if changed != "" {
		return map[string]string{"commit": shortCommit(commit, true)}
	}
	return labelsOfCommit(ctx, dir, commit)
}

// labelsOfBinary is the commit that the go command recorded in a build of
// capsem-bench.
func labelsOfBinary(file string) map[string]string {
	info, err := gobuildinfo.ReadFile(file)
	if err != nil {
		return nil
	}
	b := buildinfo.Of(info)
	if b.Commit == "" {
		return nil
	}
	return map[string]string{"commit": shortCommit(b.Commit, b.Dirty)}
}

// shortCommit abbreviates a commit as git does for large repositories.
func shortCommit(commit string, dirty bool) string {
	commit = commit[:min(12, len(commit))]
	if dirty {
		commit += "-dirty"
	}
	return commit
}
