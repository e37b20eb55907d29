package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	xterm "golang.org/x/term"
)

// This file has all rules of terminal output. Colour and progress appear on a
// terminal only, colour not with NO_COLOR or TERM=dumb; width is the
// terminal's, 80 elsewhere; whatever came from a guest or a file is shown
// without control characters.

// term is the people's side: standard error.
type term struct {
	w     io.Writer
	tty   bool
	color bool
	width int
}

func newTerm(w io.Writer) *term {
	t := &term{w: w, width: 80}
	f, ok := w.(*os.File)
	if !ok || !xterm.IsTerminal(int(f.Fd())) {
		return t
	}
	t.tty = os.Getenv("TERM") != "dumb"
	t.color = t.tty && os.Getenv("NO_COLOR") == ""
	if width, _, err := xterm.GetSize(int(f.Fd())); err == nil && width >= 40 {
		t.width = width
	}
	return t
}

// clean returns text without control characters, newlines kept.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return -1
	}, s)
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

// step says what is under way from now on; "" is nothing.
func (p *progress) step(what string, last time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	p.what, p.last, p.from = what, last, time.Now()
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
	line := fmt.Sprintf("%s%s  %s", p.head, p.what, elapsed.Round(time.Second))
	if p.last > 0 {
		line += fmt.Sprintf(" (last time %s)", p.last.Round(100*time.Millisecond))
	}
	if r := []rune(line); len(r) >= p.t.width {
		line = string(r[:p.t.width-1])
	}
	fmt.Fprintf(p.t.w, "\r\x1b[K%s", line)
	p.on = true
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
