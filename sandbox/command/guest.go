package command

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/capsem/capsem-bench/sandbox"
)

// Limits of the steps beside the measurement.
const (
	stepTimeout = time.Minute      // a command of ours; a busy emulated guest takes seconds
	copyTimeout = 10 * time.Minute // 8 MiB at 15 KiB/s
	// Somebody waits for the prompt, longer where something is to be removed.
	closeTimeout   = 30 * time.Second
	unknownTimeout = 5 * time.Second
	silence        = 10 * time.Minute // twice the limit of one pass, whose end is a line
)

// A Config says how a guest is reached and what it gets.
type Config struct {
	Exec   string   // template that runs a command line
	Copy   string   // template that copies a file; "" uses the standard input of Exec
	Dir    string   // of the guest, for what is copied; "" is /tmp, /var/tmp or $HOME
	Binary string   // guest binary; "" finds or builds the one for the guest's architecture
	Tools  bool     // copy capsem-guest too, as snapshots in PATH
	Env    []string // of the guest binary, beside the CAPSEM_BENCH_ variables of ours
	Notify func(what string)
	Grace  time.Duration // of the guest binary between an interrupt and its kill; 0 is 10 s
	Hooks
	Marks
}

// Check reports whether the templates can be used; the error is an ErrTemplate.
func (c Config) Check() error {
	_, err := c.parse()
	if err == nil && c.Dir != "" && !path.IsAbs(c.Dir) {
		return fmt.Errorf("%w --guest-dir: %q is not an absolute path", ErrTemplate, c.Dir)
	}
	return err
}

// A Guest is a guest with the benchmarks in it. The caller closes it.
type Guest struct {
	cfg  Config
	t    templates
	name string // of the private directory, without its parent
	dir  string // the private directory, once it is there
	arch string // GOARCH

	created bool // --create ran: --delete has to
	broken  bool // --create did not succeed
	reached bool // something may be in the guest
}

// Open tries the templates and copies the benchmarks into the guest. After a
// failure nothing of ours is left there, as far as it can be reached.
func Open(ctx context.Context, cfg Config) (_ *Guest, err error) {
	g, err := newGuest(cfg)
	if err != nil {
		return nil, err
	}
	defer func() {
		switch {
		case err == nil:
		case g.dir != "" || g.created:
			err = errors.Join(err, g.Close())
		case g.reached && !errors.Is(err, errNoProgram):
			_ = g.Close() // the directory may be there; the first error says what is wrong
		}
	}()
	if err = g.create(ctx); err != nil {
		return nil, err
	}
	if err = g.ready(ctx); err != nil {
		return nil, err
	}
	return g, g.equip(ctx)
}

func newGuest(cfg Config) (*Guest, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.Notify == nil {
		cfg.Notify = func(string) {}
	}
	g := &Guest{cfg: cfg, name: "capsem-bench-" + strings.ToLower(rand.Text()[:12])}
	var err error
	if g.t, err = cfg.parse(); err != nil {
		return nil, err
	}
	if cfg.Name == "" {
		g.t.marks.Name = "bench-" + strings.ToLower(rand.Text()[:8])
	}
	return g, nil
}

// equip copies the benchmarks into the guest.
func (g *Guest) equip(ctx context.Context) error {
	g.reached = true
	g.cfg.Notify("reaching the guest")
	err := g.prepare(ctx)
	if err == nil {
		err = g.install(ctx, g.cfg.Binary, sandbox.GuestBinary(), binaryName)
	}
	if err == nil && g.cfg.Tools {
		err = g.install(ctx, "", sandbox.GuestTools(), toolsName)
	}
	return err
}

// Decides returns the settings that the sandbox decides itself, or that mean
// nothing in it: its services are not ours.
func Decides() []string { return []string{catalogue.EnvSandbox, catalogue.EnvDelay} }

// The names in the private directory.
const (
	binaryName = "capsem-bench.test"
	toolsName  = "snapshots" // what capsem-guest acts as by its name
	pidName    = "pid"
)

// install finds an artifact for the guest's architecture and copies it.
func (g *Guest) install(ctx context.Context, given string, a sandbox.Artifact, name string) error {
	a = a.For(g.arch)
	src, err := filepath.Abs(given)
	if given == "" {
		src, err = a.Find(ctx, g.cfg.Notify)
	} else if err == nil {
		err = a.Fits(src)
	}
	if err != nil {
		return err
	}
	g.cfg.Notify("copying " + name + " into the guest")
	if err := g.copyIn(ctx, src, name); err != nil {
		return fmt.Errorf("copying %s into the guest: %w", filepath.Base(src), err)
	}
	return nil
}

// exec runs a command line of ours in the guest, for what it prints.
func (g *Guest) exec(ctx context.Context, argv ...string) (string, error) {
	return call(ctx, stepTimeout, g.t.runArgs(shell.Join(argv...)), nil)
}

// script runs a POSIX shell script in the guest with arguments $1 and so on.
func (g *Guest) script(ctx context.Context, text string, args ...string) (string, error) {
	return g.exec(ctx, append([]string{"sh", "-c", text, "capsem-bench"}, args...)...)
}

// Run runs the guest binary and hands on what it prints as it comes. When ctx
// ends it gets an interrupt, so that it can clean up and say what it has.
func (g *Guest) Run(ctx context.Context, args []string, stdout, stderr io.Writer) (status int, err error) {
	env := append(sandbox.Handed(slices.Concat(os.Environ(), g.cfg.Env), Decides()...), catalogue.EnvSandbox+"=command")
	argv := append([]string{"sh", "-c", runScript, "capsem-bench", g.dir}, env...)
	argv = append(append(argv, path.Join(g.dir, binaryName)), args...)

	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	output := newWatchdogWriter(stdout, silence)
	defer output.stop()
	var asked, forced bool
	interrupted := make(chan struct{})
	go func() {
		defer close(interrupted)
		select {
		case <-ctx.Done():
		case <-output.quiet:
			asked = true
		case <-work.Done():
			return
		}
		forced = g.interrupt(work, stop)
	}()
	status, err = hostCommand{argv: g.t.runArgs(shell.Join(argv...)), stdout: output, stderr: stderr}.run(work)
	stop(nil)
	<-interrupted
	switch {
	case asked:
		return -1, fmt.Errorf("the guest said nothing for %v", silence)
	case forced && ctx.Err() != nil:
		return -1, fmt.Errorf("%w; the guest binary did not end by itself", context.Cause(ctx))
	}
	return status, err
}

// runScript notes its process id, which exec keeps, and becomes the guest
// binary. Arguments: the directory, then assignments and the command for env.
const runScript = `echo $$ >"$1/` + pidName + `" || exit
[ ! -x "$1/` + toolsName + `" ] || PATH=$1:$PATH
shift
exec env "$@"`

// signalScript sends the guest binary a signal, unless its process id is that
// of something else by now. Arguments: the directory, the signal.
const signalScript = `read -r p <"$1/` + pidName + `" || exit
case $(tr '\0' ' ' <"/proc/$p/cmdline") in
"$1"/*) kill "-$2" "$p" ;;
*) exit 1 ;;
esac`

// guestGrace is how long the guest binary may take to end after an interrupt:
// it gives its passes 5 s, and it has to print after that.
const guestGrace = 10 * time.Second

// interrupt ends the guest binary: in the guest, which needs a second call of
// the template, for ssh and its like do not hand a signal on; then by ending
// the program of the template. It reports whether the guest binary had to be
// made to end: a killed one may look to the template's program as if it had
// ended with a status of its own.
func (g *Guest) interrupt(work context.Context, stop context.CancelCauseFunc) (forced bool) {
	ctx, cancel := context.WithTimeout(work, cmp.Or(g.cfg.Grace, guestGrace))
	defer cancel()
	if _, err := g.script(ctx, signalScript, g.dir, "INT"); err == nil {
		<-ctx.Done() // the program has ended, or time is up
		if work.Err() != nil {
			return false
		}
		ctx, cancel := context.WithTimeout(work, unknownTimeout)
		defer cancel()
		_, _ = g.script(ctx, signalScript, g.dir, "KILL")
		forced = true
	}
	if work.Err() != nil {
		return forced
	}
	stop(errors.New("interrupted"))
	return true
}

// Close deletes a guest that was made for this boot. In another it removes
// what was copied into it and ends what still runs there.
func (g *Guest) Close() error {
	if g.created {
		return g.remove()
	}
	g.cfg.Notify("removing the benchmarks from the guest")
	bases, limit := g.bases(), unknownTimeout
	if g.dir != "" {
		bases, limit = []string{path.Dir(g.dir)}, closeTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if _, err := g.script(ctx, removeScript, append([]string{g.name}, bases...)...); err != nil {
		return fmt.Errorf("removing %s from the guest: %w", path.Join(bases[0], g.name), err)
	}
	return nil
}

// removeScript kills the guest binary and removes the private directory and
// what a copy may have left elsewhere. Arguments: the name, then the
// directories that the private one may be in.
const removeScript = `name=$1
shift
rm -f "$HOME/$name" "./$name" "/$name" 2>/dev/null
left=0
for d do
	[ "$d" != "~" ] || d=$HOME
	d=$d/$name
	[ -d "$d" ] || continue
	if read -r p <"$d/` + pidName + `"; then
		case $(tr '\0' ' ' <"/proc/$p/cmdline") in "$d"/*) kill -KILL "$p" ;; esac
	fi 2>/dev/null
	rm -rf "$d" || left=1
done
exit $left`

// A watchdogWriter passes on what is written, and closes quiet when nothing has
// been written for limit.
type watchdogWriter struct {
	w     io.Writer
	limit time.Duration
	timer *time.Timer
	quiet chan struct{}
}

func newWatchdogWriter(w io.Writer, limit time.Duration) *watchdogWriter {
	d := &watchdogWriter{w: w, limit: limit, quiet: make(chan struct{})}
	d.timer = time.AfterFunc(limit, func() { close(d.quiet) })
	return d
}

func (d *watchdogWriter) Write(p []byte) (int, error) {
	if d.timer.Stop() { // not a timer that has run: it would close twice
		d.timer.Reset(d.limit)
	}
	return d.w.Write(p)
}

func (d *watchdogWriter) stop() { d.timer.Stop() }
