package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/buildinfo"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// guestEnv returns the guest's variables that say what is measured, and with
// which build of this command.
func (o *measureOptions) guestEnv(found map[string]string) ([]string, error) {
	env, err := o.labelled(found)
	if err != nil {
		return nil, err
	}
	return append(env, buildVariable(build())), nil
}

// buildVariable hands a build to the guest binary, whose own sources are all it
// knows: it is what go test -c makes, and that records no commit.
func buildVariable(i buildinfo.Info) string {
	var words []string
	if i.Commit != "" {
		words = append(words, "commit="+i.Commit, fmt.Sprintf("dirty=%t", i.Dirty))
	}
	if i.Date != "" {
		words = append(words, "date="+i.Date)
	}
	return catalogue.EnvBuild + "=" + strings.Join(words, ",")
}

// labelled returns the guest's variable with the labels of a run: those of
// the environment, those of --label, which win, and what was found of the build
// that is measured where neither says it.
func (o *measureOptions) labelled(found map[string]string) ([]string, error) {
	labels, err := record.ParseLabels(o.labels)
	if err != nil {
		return nil, err
	}
	if words := os.Getenv(catalogue.EnvLabels); words != "" {
		given, err := record.ParseLabels(strings.Split(words, ","))
		if err != nil {
			return nil, err
		}
		maps.Copy(given, labels)
		labels = given
	}
	for k, v := range found {
		if labels[k] == "" {
			labels[k] = v
		}
	}
	return []string{catalogue.EnvLabels + "=" + joinLabels(labels)}, nil
}

// labelsOfCommand is the commit that this command was built from: that of the
// services that are measured, where they are ours.
func labelsOfCommand(context.Context) map[string]string {
	b := build()
	if b.Commit == "" {
		return nil
	}
	return map[string]string{"commit": shortCommit(b.Commit, b.Dirty)}
}
