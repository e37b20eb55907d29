package main

import (
	"cmp"
	"context"
	"errors"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/bounded"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/capsem/capsem-bench/sandbox/command"
	"github.com/spf13/pflag"
)

// This file has the sandboxes that are somebody else's.

// capsemTemplates are Capsem's own commands. Its exec ends a command after 30 s
// unless told otherwise; ours has limits of its own.
func capsemTemplates() command.Config {
	return command.Config{
		Exec: "{bin} exec {name} {} --timeout 3600",
		Copy: "{bin} cp {src} {name}:{dst}",
		Hooks: command.Hooks{
			Create: "{bin} create -n {name}",
			Ready:  "{bin} exec {name} true --timeout 30",
			Delete: "{bin} delete {name}",
		},
		Marks: command.Marks{Bin: "capsem"},
	}
}

// fill gives cfg the templates that it has not.
func fillTemplates(cfg, from command.Config) command.Config {
	cfg.Exec, cfg.Copy, cfg.Bin = cmp.Or(cfg.Exec, from.Exec), cmp.Or(cfg.Copy, from.Copy), cmp.Or(cfg.Bin, from.Bin)
	if cfg.Name == "" { // in a VM that is there already nothing is made
		cfg.Create, cfg.Delete = cmp.Or(cfg.Create, from.Create), cmp.Or(cfg.Delete, from.Delete)
		cfg.Ready = cmp.Or(cfg.Ready, from.Ready)
	}
	return cfg
}

// foreignSandboxes measure in a guest of somebody else's, which templates of
// commands lead to. They share their flags: capsem has values for all of them.
func (a *app) foreignSandboxes() []sandboxKind {
	cfg := new(command.Config)
	kind := func(name, about string, from command.Config) sandboxKind {
		return sandboxKind{
			name: name, about: about, foreign: true, decides: command.Decides(),
			flags: func(f *pflag.FlagSet) { commandFlags(f, cfg) },
			prepare: func(context.Context, func(string)) (openFunc, error) {
				full := fillTemplates(*cfg, from)
				if err := full.Check(); errors.Is(err, command.ErrTemplate) {
					return nil, usage("run --sandbox %s: %w", name, err)
				}
				return openCommand(full), nil
			},
			makes: func(context.Context, func(string)) (makeFunc, error) {
				return makesGuests(name, fillTemplates(*cfg, from))
			},
		}
	}
	capsem := kind("capsem", "a Capsem VM, fresh for each boot, by its command 'capsem' or --bin", capsemTemplates())
	capsem.labels = func(ctx context.Context) map[string]string {
		return labelsOfCapsem(ctx, cmp.Or(cfg.Bin, capsemTemplates().Bin))
	}
	return []sandboxKind{kind("command", "any other VM or container, reached by --exec and --copy", command.Config{}), capsem}
}

// commandFlags are those of the templates.
func commandFlags(f *pflag.FlagSet, cfg *command.Config) {
	f.StringVar(&cfg.Exec, "exec", "", "run a command in the guest: a `TEMPLATE` with {} for it")
	f.StringVar(&cfg.Copy, "copy", "", "copy a file into the guest: a `TEMPLATE` with {src} and {dst}\n(default through standard input of --exec)")
	f.StringVar(&cfg.Create, "create", "", "make a fresh guest {name} for a boot: a `TEMPLATE`")
	f.StringVar(&cfg.Ready, "ready", "", "try whether the guest answers until it does: a `TEMPLATE`")
	f.StringVar(&cfg.Delete, "delete", "", "delete what --create made, whatever became of the boot: a `TEMPLATE`")
	f.StringVar(&cfg.Prepare, "prepare", "", "run before each boot: a `TEMPLATE`, with {side} and {slot}")
	f.DurationVar(&cfg.Wait, "ready-timeout", command.DefaultReady, "how long --ready is tried")
	f.StringVar(&cfg.Bin, "bin", "", "the `PROGRAM` that {bin} stands for (default capsem for sandbox capsem)")
	f.StringVar(&cfg.Name, "vm", "", "measure in the guest of that `NAME`, which is there already, as {name}")
	f.StringVar(&cfg.Dir, "guest-dir", "", "`DIR` of the guest for what is copied (default /tmp, /var/tmp or home)")
	f.BoolVar(&cfg.Tools, "guest-tools", false, "copy our snapshots command too, for a guest without one")
	f.StringVar(&cfg.Side, "side", "", "what {side} stands for")
	f.IntVar(&cfg.Slot, "slot", 0, "what {slot} stands for (default the number of the boot)")
	_, _ = f.MarkHidden("side"), f.MarkHidden("slot") // ab gives them
}

func openCommand(cfg command.Config) openFunc {
	return func(ctx context.Context, b sandbox.Boot) (sandbox.Sandbox, error) {
		boot := cfg
		boot.Notify, boot.Env = b.Notify, append(slices.Clone(boot.Env), b.Env...)
		boot.Slot = cmp.Or(boot.Slot, b.Slot)
		g, err := command.Open(ctx, boot)
		if err != nil {
			return nil, err // not g: a nil *Guest is a non-nil interface
		}
		return g, nil
	}
}

// capsemVersion is what a Capsem says that it is; "" for one that does not.
func capsemVersion(ctx context.Context, bin string) string {
	return termtext.Short(firstLine(ctx, bin, "--version"), 60)
}

// capsemBuild is in what 'capsem version' prints: the abbreviated commit and the
// time of the build, as in "capsem 0.16.1 (build c37b920.1775464335)".
var capsemBuild = regexp.MustCompile(`^capsem \S+ \(build ([0-9a-f]{7,40})(-dirty)?[.) ]`)

// labelsOfCapsem is the commit that a program of Capsem was built from, where
// it says one.
func labelsOfCapsem(ctx context.Context, bin string) map[string]string {
	m := capsemBuild.FindStringSubmatch(firstLine(ctx, bin, "version"))
	if m == nil {
		return nil
	}
	return map[string]string{"commit": shortCommit(m[1], m[2] != "")}
}

// firstLine is the first line that a program prints, "" where it fails.
func firstLine(ctx context.Context, bin string, args ...string) string {
	const limit = 10 * time.Second // an answer needs no VM
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.WaitDelay = time.Second
	out := &bounded.Head{Max: 4 << 10}
	cmd.Stdout = out
	if err := cmd.Run(); err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(out.String()), "\n")
	return line
}
