package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// Bounds of a document, far above what any writer of the format makes.
const (
	maxNodes  = 1 << 20
	maxDepth  = 64
	maxString = 4 << 10 // of a string that is used
	maxMillis = 1e10    // four months; as ns it fits an int64
	maxCount  = 1 << 53 // integers above it are not exact in JSON
)

// A document is the source text, for positions, and the first thing found
// wrong in it. After that the typed getters return zeros, so that the readers
// of the sections need no error paths.
type document struct {
	name string
	data []byte
	err  error
	// left are the unknown keys with their lines, at most maxWarnings.
	left    []string
	dropped int // beyond them
}

// unknown remembers a key that no reader knows.
func (d *document) unknown(n *node, path string) {
	if len(d.left) >= maxWarnings {
		d.dropped++
		return
	}
	d.left = append(d.left, fmt.Sprintf("line %d: %s: unknown key, left out", d.line(n.offset), path))
}

// fail records a complaint about the value n, found at path. A nil n has no
// line.
func (d *document) fail(n *node, path, format string, args ...any) {
	if d.err != nil {
		return
	}
	where := d.name
	if n != nil {
		where = fmt.Sprintf("%s:%d", d.name, d.line(n.offset))
	}
	d.err = fmt.Errorf("%s: %s: %s", where, path, fmt.Sprintf(format, args...))
}

// line returns the line number, from 1, of a byte offset.
func (d *document) line(offset int64) int {
	offset = min(max(offset, 0), int64(len(d.data)))
	return 1 + bytes.Count(d.data[:offset], []byte{'\n'})
}

// A node is one JSON value with its place.
type node struct {
	value  any // map[string]*node, []*node, string, json.Number, bool or nil
	keys   []string
	offset int64
}

// parseDocument reads the JSON text strictly: one object, no duplicate keys.
func parseDocument(data []byte, name string) (object, error) {
	d := &document{name: name, data: data}
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return object{}, d.syntaxError(err)
	}
	p := &parser{doc: d, dec: json.NewDecoder(bytes.NewReader(data))}
	p.dec.UseNumber()
	n := p.value("", 0)
	if d.err != nil {
		return object{}, d.err
	}
	if _, ok := n.value.(map[string]*node); !ok {
		return object{}, fmt.Errorf("%s:%d: not a Capsem document: want a JSON object, have %s", name, d.line(n.offset), n.kind())
	}
	return newObject(d, "", n), nil
}

// syntaxError says where the text stops being JSON.
func (d *document) syntaxError(err error) error {
	var syn *json.SyntaxError
	if !errors.As(err, &syn) {
		return fmt.Errorf("%s: not JSON: %w", d.name, err)
	}
	line := d.line(syn.Offset)
	at := max(0, min(int(syn.Offset)-1, len(d.data)))
	for _, word := range []string{"NaN", "-Infinity", "Infinity"} {
		// The scanner stops at the first letter, or behind the sign.
		if bytes.HasPrefix(d.data[at:], []byte(word)) || at > 0 && bytes.HasPrefix(d.data[at-1:], []byte(word)) {
			return fmt.Errorf("%s:%d: %s is not a number that JSON has", d.name, line, word)
		}
	}
	if len(bytes.TrimSpace(d.data)) == 0 {
		return fmt.Errorf("%s: empty file", d.name)
	}
	if syn.Offset >= int64(len(d.data)) {
		return fmt.Errorf("%s:%d: the document is cut off: %w", d.name, line, err)
	}
	hint := ""
	if benchmarkText.Match(d.data[:min(len(d.data), 4<<10)]) {
		hint = "; it looks like benchmark text, which is what import writes and convert reads"
	}
	return fmt.Errorf("%s:%d: not JSON: %w%s", d.name, line, err, hint)
}

// benchmarkText is how lines of what is no JSON but benchmark text begin.
var benchmarkText = regexp.MustCompile(`(?m)^(#capsem \{|Benchmark|goos: |pkg: )`)

// A parser builds nodes; the text is known to be valid JSON.
type parser struct {
	doc   *document
	dec   *json.Decoder
	nodes int
}

func (p *parser) value(path string, depth int) *node {
	n := new(node)
	tok, err := p.dec.Token()
	if err != nil {
		p.doc.err = fmt.Errorf("%s: not JSON: %w", p.doc.name, err)
		return n
	}
	n.offset = p.dec.InputOffset()
	p.nodes++
	switch {
	case p.nodes > maxNodes:
		p.doc.fail(n, path, "the document has more than %d values", maxNodes)
	case depth > maxDepth:
		p.doc.fail(n, path, "nested deeper than %d", maxDepth)
	case tok == json.Delim('{'):
		p.object(n, path, depth)
	case tok == json.Delim('['):
		p.array(n, path, depth)
	default:
		n.value = tok
	}
	return n
}

func (p *parser) object(n *node, path string, depth int) {
	fields := make(map[string]*node)
	n.value = fields
	for p.doc.err == nil && p.dec.More() {
		tok, err := p.dec.Token()
		key, ok := tok.(string)
		if err != nil || !ok {
			p.doc.fail(n, path, "unreadable key")
			return
		}
		at := &node{offset: p.dec.InputOffset()}
		if _, dup := fields[key]; dup {
			p.doc.fail(at, join(path, key), "duplicate key")
			return
		}
		fields[key] = p.value(join(path, key), depth+1)
		n.keys = append(n.keys, key)
	}
	p.closing()
}

func (p *parser) array(n *node, path string, depth int) {
	items := []*node{}
	for p.doc.err == nil && p.dec.More() {
		items = append(items, p.value(fmt.Sprintf("%s[%d]", path, len(items)), depth+1))
	}
	n.value = items
	p.closing()
}

func (p *parser) closing() {
	if p.doc.err == nil {
		if _, err := p.dec.Token(); err != nil {
			p.doc.err = fmt.Errorf("%s: not JSON: %w", p.doc.name, err)
		}
	}
}

// join appends a key to a path, shortened so that a message stays a line.
func join(path, key string) string {
	if len(key) > 80 {
		key = key[:80] + "..."
	}
	if !isName(key) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// isName reports whether s may stand in a benchmark name: [A-Za-z0-9_.]+.
func isName(s string) bool {
	for _, r := range s {
		if !(r == '_' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') {
			return false
		}
	}
	return s != ""
}

// kind names the type of the value for messages.
func (n *node) kind() string {
	switch n.value.(type) {
	case map[string]*node:
		return "an object"
	case []*node:
		return "an array"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case bool:
		return "true or false"
	}
	return "null"
}
