package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/buildinfo"
	"github.com/spf13/cobra"
)

// build is the build that runs.
func build() buildinfo.Info {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		b = &debug.BuildInfo{GoVersion: runtime.Version()}
	}
	i := buildinfo.Of(b)
	i.OS, i.Arch = runtime.GOOS, runtime.GOARCH
	return i
}

// versionCommand says what --version says, for programs too.
func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Say version, commit and date of this build",
		Example: "  capsem-bench version\n  capsem-bench version --json | jq -r .commit",
		Args:    atMostArgs(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return a.outputJSON(build())
			}
			return a.output(fmt.Sprintf("capsem-bench version %s\n", build()))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
