package main

import (
	"bytes"
	"encoding/json"
)

// A hostLine is what a line of the gateway says beside its result.
type hostLine struct {
	id     string // as idKey spells it, "" if it has none
	method bool   // it is a request or a notification
	code   int    // of the error, 0 if it has none
}

// maxMember bounds what is kept of one member of a line.
const maxMember = 64 << 10

// A replyScanner finds the members id, method and error of each line, which
// may come in any number of parts and be of any length: results are not kept.
// It is a scanner of its own because a decoder would hold the whole line, and
// relaying it is part of what the snapshot benchmarks time.
type replyScanner struct {
	depth    int  // of braces and brackets
	inString bool // between quotes
	escaped  bool // after a backslash
	value    bool // behind the colon of a member
	kept     bool // the value is one that matters

	key, member []byte // of the current member of the outermost object
	id, err     []byte
	method      bool
}

// scan takes the next bytes and returns the replies whose lines end in them.
func (s *replyScanner) scan(p []byte) (found []hostLine) {
	for _, c := range p {
		if c == '\n' { // never inside a string of JSON
			if r, ok := s.line(); ok {
				found = append(found, r)
			}
			*s = replyScanner{key: s.key[:0], member: s.member[:0]}
			continue
		}
		s.next(c)
	}
	return found
}

func (s *replyScanner) next(c byte) {
	switch {
	case s.inString:
		s.keep(c)
		switch {
		case s.escaped:
			s.escaped = false
		case c == '\\':
			s.escaped = true
		case c == '"':
			s.inString = false
		}
	case c == '"':
		s.inString = true
		s.keep(c)
	case c == '{' || c == '[':
		s.keep(c)
		s.depth++
	case c == '}' || c == ']':
		if s.depth--; s.depth == 0 {
			s.endMember()
		}
		s.keep(c)
	case s.depth == 1 && c == ':' && !s.value:
		s.value, s.kept = true, s.matters()
	case s.depth == 1 && c == ',':
		s.endMember()
	default:
		s.keep(c)
	}
}

// keep holds on to the key and, of the members that matter, the value.
func (s *replyScanner) keep(c byte) {
	switch {
	case s.depth < 1:
	case !s.value:
		if len(s.key) < maxMember {
			s.key = append(s.key, c)
		}
	case s.kept && len(s.member) < maxMember:
		s.member = append(s.member, c)
	}
}

func (s *replyScanner) matters() bool {
	switch string(bytes.TrimSpace(s.key)) {
	case `"id"`, `"method"`, `"error"`:
		return true
	}
	return false
}

func (s *replyScanner) endMember() {
	switch string(bytes.TrimSpace(s.key)) {
	case `"id"`:
		s.id = bytes.Clone(bytes.TrimSpace(s.member))
	case `"method"`:
		s.method = true
	case `"error"`:
		s.err = bytes.Clone(s.member)
	}
	s.key, s.member, s.value, s.kept = s.key[:0], s.member[:0], false, false
}

// line returns the reply of a line that has ended; ok is false if it is none.
func (s *replyScanner) line() (r hostLine, ok bool) {
	if s.depth != 0 || s.id == nil && s.err == nil && !s.method {
		return hostLine{}, false
	}
	r = hostLine{method: s.method}
	if !isNull(s.id) {
		r.id = idKey(s.id)
	}
	var e struct {
		Code int `json:"code"`
	}
	if s.err != nil {
		_ = json.Unmarshal(s.err, &e) // what has no code is no error of JSON-RPC
	}
	r.code = e.Code
	return r, true
}
