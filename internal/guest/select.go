package guest

import (
	"regexp"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

// expected returns the names of the operations that -test.bench selects and
// -test.skip does not take out again. A pattern that is no regular expression
// selects nothing; testing reports it. Load and storage take minutes: a pattern that
// selects every benchmark, whatever its name, does not mean them.
func expected(ops []catalogue.Op, bench, skip string) []string {
	names := []string{}
	want, err := parseSelector(bench)
	if err != nil {
		return names
	}
	var without selector
	if skip != "" {
		if without, err = parseSelector(skip); err != nil {
			return names
		}
	}
	for _, op := range ops {
		parts := strings.Split("Benchmark"+op.Name, "/")
		if op.Category.Row().OnDemand && want.selects([]string{"Benchmark", "", ""}) {
			continue
		}
		if want.selects(parts) && !without.selects(parts) {
			names = append(names, op.Name)
		}
	}
	return names
}

// A selector is a pattern of -test.bench: alternatives, each a regular
// expression for every part of a name between slashes.
type selector [][]*regexp.Regexp

// parseSelector splits a pattern as package testing does: at every "|" and
// "/" outside of brackets and parentheses.
func parseSelector(pattern string) (selector, error) {
	var s selector
	var parts []*regexp.Regexp
	for more := true; more; {
		var elem string
		var sep byte
		elem, sep, pattern = nextElement(pattern)
		re, err := regexp.Compile(elem)
		if err != nil {
			return nil, err
		}
		parts = append(parts, re)
		if more = sep != 0; sep != '/' {
			s, parts = append(s, parts), nil
		}
	}
	return s, nil
}

// nextElement cuts the pattern at its first separator, which is 0 at the end.
func nextElement(pattern string) (elem string, sep byte, rest string) {
	brackets, parens := 0, 0
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\':
			i++
		case c == '[':
			brackets++
		case c == ']':
			brackets = max(brackets-1, 0) // a lone ] is an ordinary character
		case brackets > 0:
		case c == '(':
			parens++
		case c == ')':
			parens--
		case parens == 0 && (c == '/' || c == '|'):
			return pattern[:i], c, pattern[i+1:]
		}
	}
	return pattern, 0, ""
}

// selects reports whether the name matches in full. As in testing the first
// alternative that matches as far as it goes decides; a pattern with more
// parts than the name selects only what is below it.
func (s selector) selects(name []string) bool {
	for _, parts := range s {
		if matches(parts, name) {
			return len(name) >= len(parts)
		}
	}
	return false
}

func matches(parts []*regexp.Regexp, name []string) bool {
	for i := range min(len(parts), len(name)) {
		if !parts[i].MatchString(name[i]) {
			return false
		}
	}
	return true
}
