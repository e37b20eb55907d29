package convert

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
)

// An event is one line of go test -json and of go tool test2json, as far as it
// is read. ImportPath stands in events of the build.
type event struct {
	Action, Package, Test, Output, ImportPath string
}

// asEvent reads one line. It reports false for what is no event.
func asEvent(line []byte) (ev event, ok bool) {
	line = bytes.TrimLeft(line, " \t")
	if len(line) == 0 || line[0] != '{' || !bytes.Contains(line, []byte("ction")) || json.Unmarshal(line, &ev) != nil {
		return event{}, false
	}
	return ev, ev.Action != ""
}

// events joins the output of JSON events into lines, by package: one benchmark
// line usually comes in two events, its name and its values, and packages are
// tested at the same time.
type events map[string]*partial

type partial struct {
	line []byte
	long bool
	path string // by the pkg line, if the events have no package
}

// feed takes one line of the input. It reports whether that was an event.
func (e events) feed(p *reader, line []byte) (bool, error) {
	if len(line) == 0 || line[0] != '{' && line[0] != ' ' && line[0] != '\t' {
		return false, nil
	}
	ev, ok := asEvent(line)
	if !ok {
		if body := bytes.TrimLeft(line, " \t"); len(body) > 0 && body[0] == '{' && (len(e) > 0 || bytes.Contains(body, []byte(`"Action":`))) {
			p.warn("not a test event: %s", quote(line))
			return true, nil
		}
		return false, nil
	}
	path := cmp.Or(ev.Package, ev.ImportPath)
	part := e[path]
	if part == nil {
		if len(e) >= maxOps {
			p.warn("more than %d packages; the output of %s was left out", maxOps, quote([]byte(path)))
			return true, nil
		}
		part = &partial{path: path}
		e[path] = part
	}
	before := p.pkg
	p.enter(clean([]byte(part.path), 200))
	err := part.take(p, ev)
	if part.path == "" {
		part.path = p.pkg.path
	}
	if path != "" {
		p.pkg = before
	}
	return true, err
}

// take takes one event of the package.
func (e *partial) take(p *reader, ev event) error {
	name := []byte(ev.Test)
	switch ev.Action {
	case "output", "build-output":
		return e.output(p, []byte(ev.Output))
	case "fail", "skip":
		if len(name) > 0 {
			return p.ended(name, ev.Action == "fail")
		}
		if ev.Action == "fail" {
			p.fail("package " + clean([]byte(ev.Package), 200) + " failed")
		}
	case "build-fail":
		p.fail("package " + clean([]byte(ev.ImportPath), 200) + " does not build")
	}
	return nil
}

func (e *partial) output(p *reader, rest []byte) error {
	for {
		head, tail, ok := bytes.Cut(rest, []byte("\n"))
		if len(e.line)+len(head) > maxTextLine {
			e.long, e.line = true, e.line[:0]
		} else if !e.long {
			e.line = append(e.line, head...)
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
func (e *partial) flush(p *reader) error {
	if e.long {
		p.warn("line is longer than %d bytes and was skipped", maxTextLine)
	}
	line := trimEOL(e.line)
	e.line, e.long = e.line[:0], false
	return p.text(line)
}

// flush takes the last lines of all packages, which have no end.
func (e events) flush(p *reader) error {
	for _, path := range sortedKeys(e) {
		p.enter(clean([]byte(e[path].path), 200))
		if err := e[path].flush(p); err != nil {
			return err
		}
	}
	return nil
}

// Plain returns the benchmark text in an input: its lines as Read sees them,
// with the output of events joined, one package after another, and without what
// Decode removes. It is for programs that do not read events, such as
// benchstat.
func Plain(data []byte, name string) ([]byte, error) {
	r, err := Decode(bytes.NewReader(data), name)
	if err != nil {
		return nil, err
	}
	if data, err = io.ReadAll(r); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if !bytes.Contains(data, []byte(`"Action"`)) && !bytes.Contains(data, []byte(bom)) {
		return data, nil
	}
	var text []byte
	output := make(map[string][]byte)
	for line := range bytes.Lines(data) {
		line = bytes.TrimPrefix(line, []byte(bom))
		ev, ok := asEvent(line)
		switch {
		case !ok:
			if key, _, found := bytes.Cut(line, []byte(": ")); found && !config(key) && !bytes.HasPrefix(line, comment) {
				continue // "go: downloading ..." would be a setting to benchfmt
			}
			text = append(text, line...)
		case ev.Action == "output":
			if output[ev.Package] == nil && ev.Package != "" {
				output[ev.Package] = []byte("pkg: " + clean([]byte(ev.Package), 200) + "\n")
			}
			output[ev.Package] = append(output[ev.Package], ev.Output...)
		}
	}
	for _, pkg := range sortedKeys(output) {
		if len(text) > 0 && text[len(text)-1] != '\n' {
			text = append(text, '\n')
		}
		text = append(text, output[pkg]...)
	}
	return text, nil
}
