package convert

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
)

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

// done remarks on the keys that nobody read: the format grows, and a document
// is no less useful for saying more than is known here.
func (o object) done() {
	for _, key := range o.n.keys {
		if !o.used[key] {
			o.doc.unknown(o.get(key), join(o.path, key))
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

// floats returns an array of numbers.
func (o object) floats(key string) []float64 {
	items, at := typed[[]*node](o, key, "an array")
	if len(items) > maxValues {
		o.doc.fail(at, join(o.path, key), "more than %d values", maxValues)
		return nil
	}
	out := make([]float64, 0, len(items))
	for i, n := range items {
		num, ok := n.value.(json.Number)
		if !ok {
			o.doc.fail(n, fmt.Sprintf("%s[%d]", join(o.path, key), i), "want a number, have %s", n.kind())
			return nil
		}
		out = append(out, o.number(num, n, key))
	}
	return out
}

// outcome recognises the objects that stand for a measurement that did not
// happen: {"skipped": true, "reason": ...} and {"error": ...}.
func (o object) outcome() (state record.State, reason string, ok bool) {
	if o.has("skipped") {
		if why, text := o.get("skipped").value.(string); text { // a reason in place of true
			return record.Skipped, shorten(why), true
		}
	}
	switch {
	case o.has("skipped") && o.bool("skipped"):
		return record.Skipped, shorten(o.optStr("reason")), true
	case o.has("error"):
		return record.Failed, shorten(o.str("error")), true
	}
	return "", "", false
}

// shorten bounds a reason taken from outside.
func shorten(s string) string { return termtext.Short(s, 1000) }
