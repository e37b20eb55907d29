package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	xterm "golang.org/x/term"

	"github.com/capsem/capsem-bench/internal/termtext/layout"
	"github.com/capsem/capsem-bench/sandbox/qemu"
)

// This file has all rules of terminal output. Colour and progress appear on a
// terminal only. NO_COLOR and CLICOLOR=0 keep colour away, CLICOLOR_FORCE brings
// it everywhere, and --color is above both. TERM=dumb has neither colour nor
// progress. In a locale whose characters are not UTF-8, and with TERM=dumb,
// what people read is ASCII; without any locale it is not. Width is the
// terminal's, else $COLUMNS, else 80.

// term is a stream that people read: standard error, and standard output where
// a command prints text.
type term struct {
	w     io.Writer
	file  *os.File // of the terminal; nil without one
	tty   bool     // the cursor can be moved
	color bool
	ascii bool
}

func newTerm(w io.Writer) *term {
	t := &term{w: w, ascii: asciiOnly(os.Getenv)}
	dumb := os.Getenv("TERM") == "dumb"
	if f, ok := w.(*os.File); ok && xterm.IsTerminal(int(f.Fd())) {
		t.file = f
		t.tty = !dumb
	}
	t.color = colorWanted(t.tty, dumb, os.Getenv)
	return t
}

// colorWanted follows no-color.org and bixense.com/clicolors.
func colorWanted(tty, dumb bool, env func(string) string) bool {
	switch force := env("CLICOLOR_FORCE"); {
	case env("NO_COLOR") != "":
		return false
	case force != "" && force != "0":
		return true
	}
	return tty && !dumb && env("CLICOLOR") != "0"
}

// asciiOnly reports whether a terminal shows nothing but ASCII: what the first
// of the locale's variables says that is set. None of them set says nothing;
// so it is in most containers, whose terminals show UTF-8.
func asciiOnly(env func(string) string) bool {
	if env("TERM") == "dumb" {
		return true
	}
	locale := strings.ToLower(cmp.Or(env("LC_ALL"), env("LC_CTYPE"), env("LANG")))
	return locale != "" && !strings.Contains(locale, "utf-8") && !strings.Contains(locale, "utf8")
}

// setColor takes the value of --color.
func (t *term) setColor(when string) {
	switch when {
	case "always":
		t.color = true
	case "never":
		t.color = false
	}
}

// Write prints text for people.
func (t *term) Write(b []byte) (int, error) {
	if !t.ascii {
		return t.w.Write(b)
	}
	_, err := io.WriteString(t.w, layout.ASCII(string(b)))
	return len(b), err
}

// width is how many columns there are now: a window may change while
// something is measured. A terminal that does not know says 0.
func (t *term) width() int {
	if t.file != nil {
		if w, _, err := xterm.GetSize(int(t.file.Fd())); err == nil && w > 0 {
			return w
		}
	}
	if w, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && w > 0 {
		return w
	}
	return 80
}

// quietFor is how long something may take before a progress line appears.
const quietFor = 2 * time.Second

// progress is the one line at the bottom of a terminal that says what is
// under way. Elsewhere it does nothing.
type progress struct {
	t    *term
	mu   sync.Mutex
	head string // before every step
	what string
	last time.Duration // how long it took last time; 0 unknown
	from time.Time
	on   bool // the line is visible
	stop chan struct{}
	done sync.WaitGroup
}

// newProgress starts a progress line; Close ends it.
func newProgress(t *term, quiet bool) *progress {
	p := &progress{t: t, stop: make(chan struct{})}
	if !t.tty || quiet {
		return p
	}
	p.done.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-tick.C:
				p.draw()
			}
		}
	})
	return p
}

// step says what is under way from now on; "" is nothing. What differs only
// behind a comma is the same step further on, and its time goes on.
func (p *progress) step(what string, last time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if what != "" && stem(what) == stem(p.what) {
		p.what, p.last = what, last
		return
	}
	p.erase()
	p.what, p.last, p.from = what, last, time.Now()
}

func stem(what string) string {
	s, _, _ := strings.Cut(what, ",")
	return s
}

// booting follows a boot, which begins now, from stage to stage.
func booting(notify func(what string)) func(qemu.StageTime) {
	tell := func(over string) {
		switch next, ok := qemu.Underway(over); {
		case !ok:
		case next == "":
			notify("") // what the guest does says itself
		default:
			notify("booting, " + next)
		}
	}
	tell("")
	return func(t qemu.StageTime) { tell(t.Name) }
}

// prefix sets what stands before every step from now on.
func (p *progress) prefix(head string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.head = head
}

func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	elapsed := time.Since(p.from)
	if p.what == "" || elapsed < quietFor && p.last < quietFor {
		return
	}
	// The last column stays free: some terminals go on to the next line there.
	fmt.Fprintf(p.t.w, "\r\x1b[K%s", progressLine(p.head+p.what, elapsed, p.last, p.t.width()-1))
	p.on = true
}

// progressLine says in at most w columns what is under way, for how long, and
// how long it took last time. Where that is too much the last goes first,
// then the end of the name.
func progressLine(name string, elapsed, last time.Duration, w int) string {
	took := "  " + elapsed.Round(time.Second).String()
	line := name + took
	if last > 0 {
		line += fmt.Sprintf(" (last time %s)", last.Round(100*time.Millisecond))
	}
	if text.StringWidth(line) <= w {
		return line
	}
	const dots = "..."
	if room := w - text.StringWidth(took); room > len(dots) {
		return text.Snip(name, room, dots) + took
	}
	return text.Trim(name, w)
}

func (p *progress) erase() {
	if p.on {
		fmt.Fprint(p.t.w, "\r\x1b[K")
		p.on = false
	}
}

// Close removes the line.
func (p *progress) Close() {
	close(p.stop)
	p.done.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
}
