package main

import (
	"context"
	"errors"

	"github.com/capsem/capsem-bench/sandbox/command"
	"github.com/spf13/pflag"
)

// commandSandbox measures in a guest of somebody else's, which two templates
// lead to.
func (a *app) commandSandbox() sandboxKind {
	cfg := new(command.Config)
	return sandboxKind{
		name:  "command",
		about: "any other VM or container, reached by --exec and --copy",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&cfg.Exec, "exec", "", "run a command in the guest: a `TEMPLATE` with {} for it")
			f.StringVar(&cfg.Copy, "copy", "", "copy a file into the guest: a `TEMPLATE` with {src} and {dst}\n(default through standard input of --exec)")
			f.StringVar(&cfg.Dir, "guest-dir", "", "`DIR` of the guest for what is copied (default /tmp, /var/tmp or home)")
			f.BoolVar(&cfg.Tools, "guest-tools", false, "copy our snapshots command too, for a guest without one")
		},
		prepare: func(_ context.Context, p prepareConfig) (openFunc, error) {
			cfg.Binary = p.guest
			if err := cfg.Check(); errors.Is(err, command.ErrTemplate) {
				return nil, usage("run --sandbox command: %w", err)
			}
			return func(ctx context.Context, b bootConfig) (opened, error) {
				boot := *cfg
				boot.Notify = b.notify
				g, err := command.Open(ctx, boot)
				if err != nil {
					return nil, err // not g: a nil *Guest is a non-nil interface
				}
				return g, nil
			}, nil
		},
	}
}
