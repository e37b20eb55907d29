package qemu

import (
	"bytes"
	"strings"
	"sync"

	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/internal/vmconfig"
)

// consoleLines is how much of a console a failure shows.
const consoleLines = 50

// maxConsoleLine bounds what is kept of one line in bytes.
const maxConsoleLine = 500

// A console keeps the end of what a guest prints and looks for stages.
type console struct {
	onStage func(line string)

	mu       sync.Mutex
	partial  []byte
	lines    []string // the last ones, escaped
	panicked bool
}

func (c *console) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		c.mu.Lock()
		if room := maxConsoleLine - len(c.partial); room > 0 {
			c.partial = append(c.partial, part[:min(room, len(part))]...)
		}
		c.mu.Unlock()
		if i < 0 {
			break
		}
		c.endLine()
		p = p[i+1:]
	}
	return n, nil
}

func (c *console) endLine() {
	c.mu.Lock()
	line := strings.TrimRight(string(c.partial), "\r")
	c.partial = c.partial[:0]
	c.keep(line)
	c.mu.Unlock()
	if _, _, _, ok := vmconfig.ParseStage(line); ok && c.onStage != nil {
		c.onStage(line)
	}
}

// keep adds a line; the caller holds mu.
func (c *console) keep(line string) {
	if strings.Contains(line, "Kernel panic") {
		c.panicked = true
	}
	if len(c.lines) == consoleLines {
		c.lines = append(c.lines[:0], c.lines[1:]...)
	}
	c.lines = append(c.lines, termtext.Block(line))
}

// tail returns the last lines, indented, for the end of a message.
func (c *console) tail() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.lines
	if len(c.partial) > 0 {
		lines = append(lines[:len(lines):len(lines)], termtext.Block(string(c.partial)))
	}
	if len(lines) == 0 {
		return "the console is empty"
	}
	return "the console's last lines:\n  " + strings.Join(lines, "\n  ")
}

func (c *console) isEmpty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.lines) == 0 && len(c.partial) == 0
}

func (c *console) hasPanicked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.panicked
}
