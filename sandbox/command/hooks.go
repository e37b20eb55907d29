package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/internal/bounded"
)

// Limits of the hooks.
const (
	createTimeout = 10 * time.Minute // --create and --prepare: an emulated machine boots in minutes
	deleteTimeout = time.Minute
	readyPause    = 200 * time.Millisecond // between two tries of --ready
	// DefaultReady is how long --ready is tried.
	DefaultReady = 5 * time.Minute
	// CloseTimeout is how long Run and Close together may take after an
	// interrupt: whoever started this process waits so long for it.
	CloseTimeout = guestGrace + unknownTimeout + stepTimeout + deleteTimeout
)

// The placeholders of every template.
const (
	nameMark = "{name}"
	sideMark = "{side}"
	slotMark = "{slot}"
	binMark  = "{bin}"
)

// Hooks are templates of commands on the host around a boot. "" is none.
type Hooks struct {
	Prepare string        // before anything else
	Create  string        // makes the guest; Delete follows it, whatever becomes of it
	Ready   string        // tried after Create until it succeeds
	Delete  string        // ends and removes the guest
	Wait    time.Duration // for Ready; 0 is DefaultReady
}

// Marks are what placeholders of every template stand for.
type Marks struct {
	Name string // of a guest that is there already; "" is a fresh one for each boot
	Side string // base or cand
	Slot int    // number of the boot, from 1
	Bin  string // program that the templates are about
}

// hooks are split into words; those that are not given are nil.
type hooks struct{ prepare, create, ready, remove []string }

func (c Config) parseHooks() (h hooks, err error) {
	for _, one := range []struct {
		flag, text string
		to         *[]string
	}{{"--prepare", c.Prepare, &h.prepare}, {"--create", c.Create, &h.create}, {"--ready", c.Ready, &h.ready}, {"--delete", c.Delete, &h.remove}} {
		if one.text == "" {
			continue
		}
		if *one.to, err = c.words(one.flag, one.text); err != nil {
			return h, err
		}
	}
	if (h.create == nil) != (h.remove == nil) {
		return h, fmt.Errorf("%w: --create and --delete belong together: a guest that is made for a boot ends with it", ErrTemplate)
	}
	if h.create != nil && c.Name != "" {
		return h, fmt.Errorf("%w --create: it makes a guest, and a name was given of one that is there already", ErrTemplate)
	}
	return h, nil
}

// marks are the pairs for a replacer.
func (m Marks) marks() []string {
	return []string{nameMark, m.Name, sideMark, m.Side, slotMark, strconv.Itoa(m.Slot), binMark, m.Bin}
}

// create makes the guest, where a template says how.
func (g *Guest) create(ctx context.Context) error {
	if h := g.t.prepare; h != nil {
		g.cfg.Notify("preparing the boot")
		if err := g.hook(ctx, "--prepare", createTimeout, h); err != nil {
			return err
		}
	}
	if h := g.t.create; h != nil {
		g.cfg.Notify("creating " + g.t.marks.Name)
		err := g.hook(ctx, "--create", createTimeout, h)
		g.broken = err != nil
		// What could not be created under a name of its own may be somebody's.
		g.created = err == nil || !errors.Is(err, errNoProgram) && contains(g.t.remove, nameMark)
		return err
	}
	return nil
}

// ready waits for the guest, where a template says how to ask.
func (g *Guest) ready(ctx context.Context) error {
	if h := g.t.ready; h != nil {
		g.cfg.Notify("waiting for " + g.t.marks.Name)
		return g.wait(ctx, h)
	}
	return nil
}

// wait tries --ready until it succeeds.
func (g *Guest) wait(ctx context.Context, argv []string) error {
	limit := g.cfg.Wait
	if limit == 0 {
		limit = DefaultReady
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for {
		err := g.hook(within, "--ready", stepTimeout, argv)
		if err == nil || errors.Is(err, errNoProgram) {
			return err
		}
		if within.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-within.Done():
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("the guest is not ready after %v: %w", limit, last)
		case <-time.After(readyPause):
		}
	}
}

// remove deletes the guest, within a limit of its own: it has to go after an
// interrupt too.
func (g *Guest) remove() error {
	g.cfg.Notify("deleting " + g.t.marks.Name)
	err := g.hook(context.Background(), "--delete", deleteTimeout, g.t.remove)
	if err != nil && g.broken {
		return nil // there may be none; why not has been said
	}
	return err
}

// hook runs a template of the host. What it starts may go on after it: that is
// how a guest is made. Its output is read for the end of a complaint alone.
func (g *Guest) hook(ctx context.Context, flag string, limit time.Duration, words []string) error {
	argv := fill(words, g.t.marks.marks()...)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s did not end within %v", argv[0], limit))
	defer cancel()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	var said bounded.Tail
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(&said, r)
	}()
	status, err := hostCommand{argv: argv, stdout: w, stderr: w, leave: true}.run(ctx)
	_ = w.Close()
	_ = r.SetReadDeadline(time.Now()) // what the program left running may hold the pipe
	<-copied
	readRest(r, &said)
	go func() { // so that what goes on can write
		defer r.Close()
		_, _ = io.Copy(io.Discard, r)
	}()
	if err == nil && status != 0 {
		err = fmt.Errorf("%s: exit status %d", argv[0], status)
	}
	if line := bounded.LastLine(said.String()); err != nil && line != "" {
		err = fmt.Errorf("%w: %s", err, line)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

// readRest reads what a pipe holds, and waits for nothing.
func readRest(r *os.File, to io.Writer) {
	_ = r.SetReadDeadline(time.Time{})
	raw, err := r.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, maxSaid)
	_ = raw.Read(func(fd uintptr) bool {
		for range 16 { // as much as a pipe holds at most, of a writer that never stops
			n, err := syscall.Read(int(fd), buf)
			if n <= 0 || err != nil {
				break
			}
			_, _ = to.Write(buf[:n])
		}
		return true
	})
}
