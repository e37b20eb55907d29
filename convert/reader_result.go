package convert

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// A pair is one value of a result line with its unit.
type pair struct {
	value float64
	word  []byte // the value as it stands there
	unit  []byte
}

// benchmarkName reports whether a word is the name of a benchmark: the rule of
// go test is "Benchmark" and no lower-case letter after it.
func benchmarkName(word []byte) bool {
	rest, ok := bytes.CutPrefix(word, benchmark)
	if !ok {
		return false
	}
	r, _ := utf8.DecodeRune(rest)
	return len(rest) == 0 || !unicode.IsLower(r)
}

// result takes a line that starts with "Benchmark": a result, the bare name
// that -test.v prints, a torn line, or the output of some program. Nothing is
// taken from a line that is not a whole result, as in benchfmt.
func (p *reader) result(line []byte) error {
	name, rest := field(line)
	if !benchmarkName(name) {
		p.misplaced(line)
		if first, _ := field(rest); len(first) > 0 && first[0] >= '0' && first[0] <= '9' {
			p.warn("%s is no result: the name of a benchmark has no lower-case letter after \"Benchmark\"", quote(line))
		}
		return nil
	}
	end := bytes.TrimLeft(rest, " \t")
	if bytes.HasPrefix(end, []byte("--- ")) {
		return p.other(end) // a round after the first that failed
	}
	first, rest := field(rest)
	if len(first) == 0 {
		return nil // a name alone: -test.v, or testing was interrupted
	}
	n, ok := atoi(first)
	if !ok || n <= 0 {
		p.warn("torn result line of %s", quote(name))
		return p.interrupted(name, end)
	}
	problem := p.values(rest)
	if problem != "" {
		p.warn("result line of %s: %s", quote(name), problem)
		return nil
	}
	if p.copied {
		return nil
	}
	if p.pkg.over { // whatever started the guest binary printed it
		p.warn("result line of %s stands behind the end line of the run and is none of it", quote(name))
		return nil
	}
	st, err := p.lookup(name)
	if err != nil {
		return err
	}
	for i, v := range p.pairs {
		if !possible(v.value) {
			st.wrong = fmt.Sprintf("a value in %s is not a number that can be: %s", quote(v.unit), quote(v.word))
			p.warn("%s: %s", quote(name), st.wrong)
			return nil
		}
		p.value(st, i, v.unit, v.value)
	}
	st.res.iterations.Add(float64(n))
	st.res.Rounds++
	return nil
}

// interrupted takes what stands behind the name of a benchmark that had begun.
func (p *reader) interrupted(name, end []byte) error {
	p.misplaced(end)
	reason := failure(end)
	if reason == "" {
		return nil // output of a program; the result may follow
	}
	p.fail(reason)
	st, err := p.lookup(name)
	if err != nil {
		return err
	}
	st.failed = true
	if st.res.Reason == "" {
		st.res.Reason = reason
	}
	return nil
}

// values reads the values of a result line with their units into p.pairs. It
// returns what is wrong with them, "" if nothing is.
func (p *reader) values(rest []byte) string {
	p.pairs = p.pairs[:0]
	for {
		var value, unit []byte
		if value, rest = field(rest); len(value) == 0 {
			break
		}
		unit, rest = field(rest)
		v, ok := parseFloat(value)
		switch {
		case !ok:
			return quote(value) + " is no value with a unit"
		case len(unit) == 0:
			return quote(value) + " has no unit"
		case len(p.pairs) == maxUnits:
			return fmt.Sprintf("more than %d values", maxUnits)
		case !isUnit(unit):
			return quote(unit) + " is no unit"
		}
		for _, other := range p.pairs {
			if bytes.Equal(other.unit, unit) {
				return "two values in " + quote(unit)
			}
		}
		p.pairs = append(p.pairs, pair{v, value, unit})
	}
	if len(p.pairs) == 0 {
		return "it has no value"
	}
	return ""
}

// maxUnitName bounds the name of a unit, in bytes.
const maxUnitName = 100

// isUnit reports whether a word can be a unit. A number is none, and neither
// is the end of a line with the next one glued to it.
func isUnit(word []byte) bool {
	if len(word) == 0 || len(word) > maxUnitName || !showable(word) {
		return false
	}
	c := word[0]
	if c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.' {
		if _, number := parseFloat(word); number {
			return false
		}
	}
	return !bytes.Contains(word, benchmark) && !bytes.HasSuffix(word, []byte("PASS")) && !bytes.HasSuffix(word, []byte("FAIL"))
}

// misplaced complains about a result that stands where testing prints none:
// behind the output of a program, or without its name.
func (p *reader) misplaced(line []byte) {
	for at := bytes.Index(line, benchmark); at >= 0; {
		name, rest := field(line[at:])
		if first, rest := field(rest); at > 0 && benchmarkName(name) {
			if n, ok := atoi(first); ok && n > 0 && p.values(rest) == "" {
				p.warn("a result line of %s is glued to other output and was left out: %s", quote(name), quote(line))
				return
			}
		}
		next := bytes.Index(line[at+1:], benchmark)
		if next < 0 {
			return
		}
		at += 1 + next
	}
	if first, rest := field(line); len(first) > 0 && first[0] >= '1' && first[0] <= '9' && bytes.Contains(rest, []byte("/op")) {
		if _, ok := atoi(first); ok && p.values(rest) == "" {
			p.warn("a result without the name of its benchmark was left out: %s", quote(line))
		}
	}
}

// value keeps one value; i is its place on the line, where the same unit
// usually stands every time.
func (p *reader) value(st *state, i int, unit []byte, v float64) {
	res := st.res
	if i < len(st.series) && res.Units[i] == string(unit) {
		st.series[i].Add(v)
		return
	}
	s, ok := res.Values[string(unit)]
	if !ok {
		if len(res.Units) >= maxUnits {
			p.warn("unit %s of %s left out", quote(unit), res.Op.Name)
			return
		}
		s = new(Series)
		res.Values[string(unit)] = s
		res.Units = append(res.Units, string(unit))
		st.series = append(st.series, s)
	}
	s.Add(v)
}
