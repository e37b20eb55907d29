// Package bounded keeps part of what a program prints, however much that is:
// the beginning where the text itself is wanted, the end where a complaint is. A
// guest, or a command that somebody named, may print without end.
package bounded

import (
	"strings"
	"sync"
)

// A Head keeps the first Max bytes that are written to it.
type Head struct {
	Max int
	b   []byte
	cut bool
}

// Write takes everything, so that who prints goes on.
func (h *Head) Write(p []byte) (int, error) {
	room := h.Max - len(h.b)
	h.cut = h.cut || len(p) > room
	h.b = append(h.b, p[:min(len(p), room)]...)
	return len(p), nil
}

// Bytes returns what was kept.
func (h *Head) Bytes() []byte { return h.b }

// String returns what was kept.
func (h *Head) String() string { return string(h.b) }

// Cut reports whether there was more.
func (h *Head) Cut() bool { return h.cut }

// maxTail holds the last lines of any complaint.
const maxTail = 4 << 10

// A Tail keeps the last 4 KiB that are written to it. It may be read while
// somebody writes.
type Tail struct {
	mu sync.Mutex
	b  []byte
}

// Write takes everything.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p[max(0, len(p)-maxTail):]...)
	if over := len(t.b) - maxTail; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// String returns what was kept.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

// LastLine returns the last line of a text that says something, for an error:
// programs say last why they end. It is cut after 300 bytes. Whoever shows it
// makes it safe for a terminal.
func LastLine(text string) string {
	text = strings.TrimSpace(text)
	text = text[strings.LastIndexByte(text, '\n')+1:]
	if len(text) > maxLine {
		text = text[:maxLine] + "..."
	}
	return text
}

const maxLine = 300
