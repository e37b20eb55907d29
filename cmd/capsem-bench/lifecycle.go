package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/lifecycle"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/machine"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/spf13/cobra"
)

// A makeFunc returns what makes the VMs of one boot, and what the run line says
// of their sandbox.
type makeFunc = func(b sandbox.Boot) (lifecycle.Maker, record.Run)

// lifecycleOptions are the flags of lifecycle.
type lifecycleOptions struct {
	runOptions
	plan     lifecycle.Plan
	category string
}

// The bounds of what lifecycle is asked for.
const (
	maxVMs    = 64      // each takes the memory of a VM
	maxExecs  = 100_000 // of 5 ms each at least
	maxExecMB = 100_000
)

// lifecycleCommand measures VMs from the host.
func (a *app) lifecycleCommand() *cobra.Command {
	opt := new(lifecycleOptions)
	kinds := slices.DeleteFunc(a.sandboxes(), func(k sandboxKind) bool { return k.makes == nil })
	owners := make(map[string][]string)
	cmd := &cobra.Command{
		Use:   "lifecycle [PART...]",
		Short: "Measure VMs from the host: made, booted, used, forked, deleted",
		Long: `lifecycle makes VMs and measures them from this machine, again for each of
--runs, and keeps a text for each run as 'run --boots' does: compare, gate and
history take the directory as any other. Without a PART it measures all:

  lifecycle  provision, stages of the boot, exec_ready, exec, delete and their
             total; the memory of QEMU and of the processes beside it; and an
             empty VM with the same kernel, the floor
  fork       a VM whose workspace was changed is copied, and the copy booted;
             what was written before has to be in it, and nothing later
  parallel   --vms VMs run --category at once, beside one alone
  exec       commands in a VM that runs, one after another, and bytes through
             standard input and output

Sandboxes are those that make VMs; of sandbox command that takes --create and
--delete. What a sandbox cannot do is skipped.`,
		Example: `  capsem-bench lifecycle
  capsem-bench lifecycle --runs 20 --out results/before lifecycle exec
  capsem-bench lifecycle parallel --vms 8 --category snapshot
  capsem-bench lifecycle --sandbox capsem`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opt.check(args); err != nil {
				return err
			}
			if err := opt.checkOwners(cmd.Flags(), owners); err != nil {
				return err
			}
			return a.runSandbox(cmd.Context(), &opt.runOptions, opt.measuring(kinds), opt.plan.Parts)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return partNames(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	f := cmd.Flags()
	opt.count = 1
	opt.keepFlags(f, " (default results/<time>-<id>)")
	f.StringVar(&opt.sandbox, "sandbox", kinds[0].name, "whose VMs: "+kindNames(kinds))
	f.IntVar(&opt.boots, "runs", catalogue.DefaultLifecycle, "how often all is measured, a text file for each")
	f.IntVar(&opt.plan.VMs, "vms", catalogue.DefaultParallel, "VMs at once of parallel")
	f.StringVar(&opt.category, "category", string(catalogue.Disk), "what each VM of parallel runs")
	f.IntVar(&opt.plan.Execs, "execs", catalogue.DefaultExecs, "commands one after another of exec")
	f.IntVar(&opt.plan.ExecMB, "exec-mb", catalogue.DefaultExecMB, "`MiB` through standard input and output of exec")
	_ = cmd.RegisterFlagCompletionFunc("category", fixed(categoryNames()...))
	kindFlags(cmd, kinds, owners)
	return cmd
}

func partNames() []string {
	var names []string
	for _, c := range catalogue.HostCategories() {
		names = append(names, string(c))
	}
	return names
}

// check reads the parts and holds the numbers to their bounds.
func (o *lifecycleOptions) check(args []string) error {
	o.plan.Parts = nil
	for _, arg := range args {
		c := catalogue.Category(arg)
		switch {
		case !slices.Contains(catalogue.HostCategories(), c):
			return usage("lifecycle: unknown part %q; want %s", arg, strings.Join(partNames(), ", "))
		case slices.Contains(o.plan.Parts, c):
			return usage("lifecycle: part %s is there twice", arg)
		}
		o.plan.Parts = append(o.plan.Parts, c)
	}
	if len(args) == 0 {
		o.plan.Parts = catalogue.HostCategories()
	}
	if o.plan.Category = catalogue.Category(o.category); !slices.Contains(catalogue.GuestCategories(), o.plan.Category) {
		return usage("--category %q: want %s", o.category, strings.Join(categoryNames(), ", "))
	}
	for _, n := range []struct {
		flag            string
		is, least, most int
	}{{"runs", o.boots, 1, maxBoots}, {"vms", o.plan.VMs, 2, maxVMs}, {"execs", o.plan.Execs, 1, maxExecs}, {"exec-mb", o.plan.ExecMB, 1, maxExecMB}} {
		if n.is < n.least || n.is > n.most {
			return usage("--%s %d: want %d to %d", n.flag, n.is, n.least, n.most)
		}
	}
	return nil
}

// measuring are the kinds with another sandbox: what runs in it is no guest
// binary but the measurement of its VMs.
func (o *lifecycleOptions) measuring(kinds []sandboxKind) []sandboxKind {
	out := slices.Clone(kinds)
	for i, k := range out {
		out[i].prepare = func(ctx context.Context, notify func(string)) (openFunc, error) {
			makes, err := k.makes(ctx, notify)
			if err != nil {
				return nil, err
			}
			return func(_ context.Context, b sandbox.Boot) (sandbox.Sandbox, error) {
				plan := o.plan
				plan.Notify = b.Notify
				maker, about := makes(b)
				env := slices.Concat(os.Environ(), b.Env)
				plan.Head = machine.Describe(b.Dir, func(name string) string { return sandbox.Lookup(env, name) })
				plan.Head.Sandbox, plan.Head.Accel, plan.Head.Image = about.Sandbox, about.Accel, about.Image
				return outside{maker, plan}, nil
			}, nil
		}
	}
	return out
}

// outside is the sandbox that measures VMs from outside of them. Each Run is
// one of --runs.
type outside struct {
	maker lifecycle.Maker
	plan  lifecycle.Plan
}

// Run measures; args are those of a guest binary and mean nothing here.
func (o outside) Run(ctx context.Context, _ []string, stdout, stderr io.Writer) (int, error) {
	status, err := lifecycle.Measure(ctx, o.maker, o.plan, stdout)
	if err == nil && status != 0 {
		fmt.Fprintln(stderr, "not every phase succeeded")
	}
	return status, err
}

// Close has nothing to end: every VM has ended.
func (outside) Close() error { return nil }
