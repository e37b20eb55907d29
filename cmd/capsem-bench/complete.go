package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/sandbox/qemu"
	"github.com/spf13/cobra"
)

// This file has what a TAB offers beyond names of commands and flags.

type completer = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)

// fixed offers the same values always.
func fixed(values ...string) completer {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}

// categoriesOnce offers the categories that are not given yet.
func categoriesOnce(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	left := slices.DeleteFunc(categoryNames(), func(name string) bool { return slices.Contains(args, name) })
	return left, cobra.ShellCompDirectiveNoFileComp
}

// results offers directories and files of results. A command with subcommands
// needs it: cobra would offer those alone.
func results(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	dir, _ := filepath.Split(typed)
	entries, _ := os.ReadDir(filepath.Join(".", dir))
	if filepath.IsAbs(dir) {
		entries, _ = os.ReadDir(dir)
	}
	var out []string
	for _, e := range entries {
		name := dir + e.Name()
		info, err := os.Stat(name)
		if err != nil || strings.HasPrefix(e.Name(), ".") || !strings.HasPrefix(name, typed) {
			continue
		}
		if info.IsDir() {
			out = append(out, name+"/")
		} else if ext := filepath.Ext(name); ext == ".txt" || ext == ".json" {
			out = append(out, name)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// gitRefs offers branches and tags of the repository here, and directories.
func gitRefs(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second) // somebody waits at a prompt
	defer cancel()
	out, err := exec.CommandContext(ctx, "git", "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes").Output()
	refs := strings.Fields(string(out))
	refs = slices.DeleteFunc(refs, func(r string) bool { return !strings.HasPrefix(r, typed) })
	if err != nil || len(refs) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return refs, cobra.ShellCompDirectiveNoFileComp
}

// sessions offers the ids that 'session list' shows, and files.
func sessions(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if cmd.Name() == "query" && len(args) == 0 || len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := listSessions(cmd, nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var out []string
	for _, s := range list.Sessions {
		out = append(out, s.ID)
	}
	return out, cobra.ShellCompDirectiveDefault
}

// runningVMs offers the names that 'vm list' shows.
func runningVMs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var out []string
	list, _ := qemu.List()
	for _, r := range list {
		out = append(out, r.Name)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// oneVM offers a running VM as the only argument.
func oneVM(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return runningVMs(cmd, args, typed)
}

// vmPaths offers running VMs as the beginnings of paths, and files.
func vmPaths(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	vms, _ := runningVMs(cmd, args, typed)
	var out []string
	for _, vm := range vms {
		if strings.HasPrefix(vm+":", typed) {
			out = append(out, vm+":")
		}
	}
	if len(out) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return out, cobra.ShellCompDirectiveNoSpace
}

// operations offers the operations of the catalogue.
func operations(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, op := range catalogue.Ops(catalogue.Settings{}) {
		if !slices.Contains(args, op.ID) {
			out = append(out, op.ID)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completions attaches the values of flags and arguments by their names: one
// name means the same in every command.
func completions(cmd *cobra.Command) {
	flags := map[string]completer{
		"profile": fixed("minimal", "full"), "accel": fixed("auto", "kvm", "tcg"), "arch": fixed("amd64", "arm64"),
		"vm": runningVMs, "base": gitRefs, "cand": gitRefs, "ops": operations,
	}
	for name, f := range flags {
		if cmd.Flags().Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, f)
		}
	}
	arguments := map[string]completer{
		"run": categoriesOnce, "ab": categoriesOnce, "gate": results, "inspect": sessions, "query": sessions,
		"ssh-config": oneVM, "proxy": oneVM, "cp": vmPaths, "trend": operations,
	}
	if f, ok := arguments[cmd.Name()]; ok {
		cmd.ValidArgsFunction = f
	}
	for _, c := range cmd.Commands() {
		completions(c)
	}
}
