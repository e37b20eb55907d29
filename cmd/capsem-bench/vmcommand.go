package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/sandbox/remote"
	xterm "golang.org/x/term"
)

// A runFunc runs a command in some VM.
type runFunc func(ctx context.Context, cmd remote.Command) (status int, err error)

// execGrace is how long a command may go on after a signal that asks it to
// end. Then it is interrupted once more, and killed when the same time is over.
const execGrace = 10 * time.Second

// execCommand runs the command with our standard streams, or on our terminal;
// without a line it is a login shell. Signals are the command's while it runs,
// and what it makes of them is its status.
func (a *app) execCommand(ctx context.Context, run runFunc, line string, terminal bool) (int, error) {
	cmd := remote.Command{Line: line, Stdin: a.stdin, Stdout: a.stdout, Stderr: a.stderr, Grace: a.grace}
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	if terminal {
		in, out, err := a.terminal()
		if err != nil {
			return 0, err
		}
		t, restore, err := remote.OpenTerminal(in, out)
		if err != nil {
			return 0, err
		}
		defer restore()
		cmd.Terminal, cmd.Stdin = t, remote.Escape(in, func() { cancel(remote.ErrLeft) })
	}
	signals, stop := forwardSignals(ctx, a.grace, func() { cancel(context.Canceled) })
	defer stop()
	cmd.Signals = signals
	return run(work, cmd)
}

// terminal is standard input and output, if they are one.
func (a *app) terminal() (in, out *os.File, err error) {
	in, okIn := a.stdin.(*os.File)
	out, okOut := a.stdout.(*os.File)
	if !okIn || !okOut || !xterm.IsTerminal(int(in.Fd())) || !xterm.IsTerminal(int(out.Fd())) {
		return nil, nil, usage("standard input and output are no terminal; 'capsem-bench vm exec' without --terminal needs none")
	}
	return in, out, nil
}

// forwardSignals returns the signals that this process gets, to be handed on.
// After one that asks to end, or the end of ctx, it calls cancel when the
// grace is over.
func forwardSignals(ctx context.Context, grace time.Duration, cancel func()) (<-chan os.Signal, func()) {
	caught, forward, done := make(chan os.Signal, 8), make(chan os.Signal, 8), make(chan struct{})
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	var running sync.WaitGroup
	running.Go(func() {
		over, graceOver := ctx.Done(), (<-chan time.Time)(nil)
		end := func() {
			if graceOver == nil {
				graceOver = time.After(grace)
			}
		}
		for {
			select {
			case <-done:
				return
			case <-over:
				over = nil
				end()
			case <-graceOver:
				cancel()
				return
			case sig := <-caught:
				if sig != syscall.SIGUSR1 && sig != syscall.SIGUSR2 {
					end()
				}
				select {
				case forward <- sig:
				default: // the guest takes none; the grace will end
				}
			}
		}
	})
	return forward, func() {
		signal.Stop(caught)
		close(done)
		running.Wait()
	}
}
