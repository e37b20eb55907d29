package convert

import (
	"bufio"
	"bytes"
	"encoding/json"
)

// startsEvents reports whether the input is a stream of JSON events, as
// go test -json and go tool test2json write it.
func startsEvents(br *bufio.Reader) bool {
	for n := 1; n <= 4096; n++ {
		b, err := br.Peek(n)
		if err != nil {
			return false
		}
		switch c := b[n-1]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == '{'
		}
	}
	return false
}

// events joins the output of JSON events into lines: one benchmark line
// usually comes in two events, its name and its values.
type events struct {
	partial []byte
	long    bool
}

// feed takes one line of the stream.
func (e *events) feed(p *reader, line []byte) error {
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	var ev struct{ Action, Output string }
	if err := json.Unmarshal(line, &ev); err != nil {
		p.warn("not a test event: %s", quote(line))
		return nil
	}
	if ev.Action != "output" {
		return nil
	}
	rest := []byte(ev.Output)
	for {
		head, tail, ok := bytes.Cut(rest, []byte("\n"))
		if len(e.partial)+len(head) > maxTextLine {
			e.long, e.partial = true, e.partial[:0]
		} else if !e.long {
			e.partial = append(e.partial, head...)
		}
		if !ok {
			return nil
		}
		if err := e.flush(p); err != nil {
			return err
		}
		rest = tail
	}
}

// flush takes what was joined as a line.
func (e *events) flush(p *reader) error {
	if e.long {
		p.warn("line is longer than %d bytes and was skipped", maxTextLine)
	}
	line := trimEOL(e.partial)
	e.partial, e.long = e.partial[:0], false
	return p.text(line)
}
