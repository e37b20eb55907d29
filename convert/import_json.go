package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/capsem/capsem-bench/internal/record"
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
	return fmt.Errorf("%s:%d: not JSON: %w", d.name, line, err)
}

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

// An object reads the keys of one JSON object and knows which were read.
type object struct {
	doc  *document
	path string // "" at the top
	n    *node
	used map[string]bool
}

func newObject(d *document, path string, n *node) object {
	return object{doc: d, path: path, n: n, used: make(map[string]bool)}
}

func (o object) has(key string) bool {
	fields, _ := o.n.value.(map[string]*node)
	_, ok := fields[key]
	return ok
}

// get returns the value of key, or nil, and counts the key as read.
func (o object) get(key string) *node {
	fields, _ := o.n.value.(map[string]*node)
	o.used[key] = true
	return fields[key]
}

// keys returns the keys in the order of the document.
func (o object) keys() []string { return o.n.keys }

// done complains about the first key that nobody read.
func (o object) done() {
	for _, key := range o.n.keys {
		if !o.used[key] {
			o.doc.fail(o.get(key), join(o.path, key), "unknown key")
			return
		}
	}
}

// typed returns the value of key as a T; anything else is a complaint.
func typed[T any](o object, key, want string) (v T, n *node) {
	n = o.get(key)
	if n == nil {
		o.doc.fail(o.n, join(o.path, key), "missing key")
		return v, nil
	}
	v, ok := n.value.(T)
	if !ok {
		o.doc.fail(n, join(o.path, key), "want %s, have %s", want, n.kind())
	}
	return v, n
}

func (o object) object(key string) object {
	_, n := typed[map[string]*node](o, key, "an object")
	if n == nil {
		n = new(node)
	}
	return newObject(o.doc, join(o.path, key), n)
}

// objects returns the objects of an array.
func (o object) objects(key string) []object {
	items, _ := typed[[]*node](o, key, "an array")
	var out []object
	for i, n := range items {
		path := fmt.Sprintf("%s[%d]", join(o.path, key), i)
		if _, ok := n.value.(map[string]*node); !ok {
			o.doc.fail(n, path, "want an object, have %s", n.kind())
			return nil
		}
		out = append(out, newObject(o.doc, path, n))
	}
	return out
}

func (o object) str(key string) string {
	s, n := typed[string](o, key, "a string")
	if len(s) > maxString {
		o.doc.fail(n, join(o.path, key), "string of %d bytes", len(s))
		return ""
	}
	return s
}

func (o object) optStr(key string) string {
	if !o.has(key) {
		return ""
	}
	return o.str(key)
}

// strs returns an array of strings.
func (o object) strs(key string) []string {
	items, at := typed[[]*node](o, key, "an array")
	out := make([]string, 0, min(len(items), 64))
	size := 0
	for _, n := range items {
		s, ok := n.value.(string)
		if size += len(s); !ok || size > maxString {
			o.doc.fail(at, join(o.path, key), "want an array of short strings")
			return nil
		}
		out = append(out, s)
	}
	return out
}

func (o object) bool(key string) bool {
	b, _ := typed[bool](o, key, "true or false")
	return b
}

// float returns a number of at least 0.
func (o object) float(key string) float64 {
	num, n := typed[json.Number](o, key, "a number")
	return o.number(num, n, key)
}

func (o object) optFloat(key string) float64 {
	if !o.has(key) {
		return 0
	}
	return o.float(key)
}

func (o object) number(num json.Number, n *node, key string) float64 {
	if o.doc.err != nil {
		return 0
	}
	f, err := strconv.ParseFloat(num.String(), 64)
	if err != nil || f > math.MaxFloat32 {
		o.doc.fail(n, join(o.path, key), "number out of range")
		return 0
	}
	if f < 0 {
		o.doc.fail(n, join(o.path, key), "negative number")
		return 0
	}
	return f
}

// count returns a whole number of at least 0.
func (o object) count(key string) int64 {
	num, n := typed[json.Number](o, key, "a number")
	f := o.number(num, n, key)
	if f != math.Trunc(f) || f > maxCount {
		o.doc.fail(n, join(o.path, key), "want a whole number")
		return 0
	}
	return int64(f)
}

func (o object) optCount(key string) int64 {
	if !o.has(key) {
		return 0
	}
	return o.count(key)
}

// millis returns a time given in ms as ns. Capsem rounds to a tenth of a ms,
// so a whole number of ns is exact.
func (o object) millis(key string) int64 {
	num, n := typed[json.Number](o, key, "a number")
	return o.toNS(num, n, key, 1e6)
}

// seconds returns a time given in s as ns.
func (o object) seconds(key string) int64 {
	num, n := typed[json.Number](o, key, "a number")
	return o.toNS(num, n, key, 1e9)
}

func (o object) toNS(num json.Number, n *node, key string, scale float64) int64 {
	ns := o.number(num, n, key) * scale
	if ns > maxMillis*1e6 {
		o.doc.fail(n, join(o.path, key), "time out of range")
		return 0
	}
	return int64(math.Round(ns))
}

// millisList returns an array of times in ms as ns.
func (o object) millisList(key string) []int64 {
	items, at := typed[[]*node](o, key, "an array")
	if len(items) > record.MaxValues {
		o.doc.fail(at, join(o.path, key), "more than %d values", record.MaxValues)
		return nil
	}
	out := make([]int64, 0, len(items))
	for i, n := range items {
		num, ok := n.value.(json.Number)
		if !ok {
			o.doc.fail(n, fmt.Sprintf("%s[%d]", join(o.path, key), i), "want a number, have %s", n.kind())
			return nil
		}
		out = append(out, o.toNS(num, n, key, 1e6))
	}
	return out
}

// outcome recognises the objects that stand for a measurement that did not
// happen: {"skipped": true, "reason": ...} and {"error": ...}.
func (o object) outcome() (state record.State, reason string, ok bool) {
	switch {
	case o.has("skipped") && o.bool("skipped"):
		return record.Skipped, shorten(o.optStr("reason")), true
	case o.has("error"):
		return record.Failed, shorten(o.str("error")), true
	}
	return "", "", false
}

// shorten bounds a reason taken from outside.
func shorten(s string) string {
	const limit = 1000
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && s[cut]&0xC0 == 0x80 { // not inside a rune
		cut--
	}
	return s[:cut] + "..."
}
