package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/buildinfo"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLabelled(t *testing.T) {
	t.Setenv(catalogue.EnvLabels, "release=1.3.0,channel=beta")
	o := measureOptions{labels: []string{"release=1.4.0"}}
	env, err := o.labelled(nil)
	require.NoError(t, err)
	assert.Equal(t, []string{catalogue.EnvLabels + "=channel=beta,release=1.4.0"}, env)
	for _, bad := range []string{"release", "A=b", "a=b,c=d", "a=\x1b", "a="} {
		o.labels = []string{bad}
		_, err := o.labelled(nil)
		assert.Error(t, err, bad)
	}
	t.Setenv(catalogue.EnvLabels, "nonsense")
	o.labels = nil
	_, err = o.labelled(nil)
	assert.Error(t, err)
}

// The commit of a Capsem is in what 'capsem version' prints; a program that
// prints anything else, fails or is not there has none.
func TestLabelsOfCapsem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, tt := range []struct{ script, commit string }{
		{"echo 'capsem 0.16.1 (build c37b920.1775464335)'", "c37b920"},
		{"echo 'capsem 1.6.2 (build c37b920aa.1775464335 ts=dev)'; echo more", "c37b920aa"},
		{"echo 'capsem 0.6.0 (build c37b920-dirty.1775464335)'", "c37b920-dirty"},
		{"echo 'capsem 0.6.0 (build unknown.1775464335)'", ""},
		{"echo 'capsem 0.6.0'", ""},
		{"echo 'capsem 0.6.0 (build c37b920.1)'; exit 1", ""},
		{"printf 'capsem 0.6.0 (build c37b920\\033[31m.1)'", ""},
	} {
		bin := filepath.Join(dir, fmt.Sprint("capsem", i))
		require.NoError(t, os.WriteFile(bin, []byte("#!/bin/sh\n[ \"$1\" = version ] || exit 2\n"+tt.script+"\n"), 0o755))
		assert.Equal(t, tt.commit, labelsOfCapsem(t.Context(), bin)["commit"], tt.script)
	}
	assert.Empty(t, labelsOfCapsem(t.Context(), filepath.Join(dir, "none")))
}

// What was found is taken where nobody says otherwise.
func TestLabelsThatWereFound(t *testing.T) {
	t.Setenv(catalogue.EnvLabels, "")
	o := measureOptions{}
	env, err := o.labelled(map[string]string{"commit": "c37b920"})
	require.NoError(t, err)
	assert.Equal(t, []string{catalogue.EnvLabels + "=commit=c37b920"}, env)
	o.labels = []string{"commit=abc"}
	env, err = o.labelled(map[string]string{"commit": "c37b920"})
	require.NoError(t, err)
	assert.Equal(t, []string{catalogue.EnvLabels + "=commit=abc"}, env)
}

func TestShortCommit(t *testing.T) {
	assert.Equal(t, "0123456789ab-dirty", shortCommit("0123456789abcdef0123", true))
	assert.Equal(t, "0123456789ab", shortCommit("0123456789abcdef0123", false))
	assert.Equal(t, "0123", shortCommit("0123", false))
}

// What is said of a side goes before what is said of both, and that before
// what was found.
func TestLabelsOfSides(t *testing.T) {
	t.Setenv(catalogue.EnvLabels, "commit=environment,channel=beta")
	found := map[string]string{"commit": "found", "release": "a,b"}
	for _, tt := range []struct {
		both []string
		side sideOptions
		want string
	}{
		{nil, sideOptions{}, "channel=beta,commit=found"},
		{[]string{"commit=both"}, sideOptions{}, "channel=beta,commit=both"},
		{[]string{"commit=both"}, sideOptions{env: []string{catalogue.EnvLabels + "=commit=own,pr=7"}}, "channel=beta,commit=own,pr=7"},
		{[]string{"commit=both"}, sideOptions{labels: []string{"commit=side", "release=1.4.0"}}, "channel=beta,commit=side,release=1.4.0"},
	} {
		o := abOptions{labels: tt.both}
		got, err := o.labelWords(&tt.side, found)
		require.NoError(t, err)
		assert.Equal(t, tt.want, got)
	}
	_, err := (&abOptions{labels: []string{"Release"}}).labelWords(&sideOptions{}, nil)
	require.ErrorContains(t, err, "want key=value")
}

// A checkout says its commit, its release where a tag is on the commit, and
// whether something differs from it.
func TestLabelsOfCheckout(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		out, err := git(t.Context(), append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		require.NoError(t, err)
		return out
	}
	assert.Empty(t, labelsOfCheckout(t.Context(), dir), "no repository")
	run("init", "--quiet")
	run("commit", "--quiet", "--allow-empty", "-m", "first")
	commit := run("rev-parse", "HEAD")[:12]
	assert.Equal(t, map[string]string{"commit": commit}, labelsOfCheckout(t.Context(), dir))
	run("tag", "v1.4.0")
	assert.Equal(t, map[string]string{"commit": commit, "release": "1.4.0"}, labelsOfCheckout(t.Context(), dir))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "new.go"), nil, 0o600))
	assert.Equal(t, map[string]string{"commit": commit + "-dirty"}, labelsOfCheckout(t.Context(), dir))
	assert.Empty(t, labelsOfBinary(filepath.Join(dir, "new.go")), "no program")
}

func TestBuildVariable(t *testing.T) {
	t.Parallel()
	assert.Equal(t, catalogue.EnvBuild+"=commit=0123abc,dirty=false,date=2026-11-30T12:00:00Z",
		buildVariable(buildinfo.Info{Commit: "0123abc", Date: "2026-11-30T12:00:00Z"}))
	assert.Equal(t, catalogue.EnvBuild+"=commit=0123abc,dirty=true", buildVariable(buildinfo.Info{Commit: "0123abc", Dirty: true}))
	assert.Equal(t, catalogue.EnvBuild+"=", buildVariable(buildinfo.Info{}), "it hides one of the environment")
}
