package convert

import (
	"bytes"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

// unit takes what follows "Unit " on a line: a unit and what is known of it,
// as key=value, in the Go benchmark format. Of the keys only better is used;
// benchstat uses assume.
func (p *reader) unit(line []byte) {
	name, rest := field(line)
	if !isUnit(name) {
		p.warn("unit line of %s left out: no unit", quote(name))
		return
	}
	for {
		var word []byte
		if word, rest = field(rest); len(word) == 0 {
			return
		}
		key, value, ok := bytes.Cut(word, []byte("="))
		if !ok {
			p.warn("unit line of %s: %s is no key=value", quote(name), quote(word))
			return
		}
		if string(key) == "better" {
			p.declare(string(name), catalogue.Direction(value))
		}
	}
}

// declare keeps which way of a unit is better by the word of the text.
func (p *reader) declare(name string, better catalogue.Direction) {
	if better != catalogue.Higher && better != catalogue.Lower {
		p.warn("unit line of %s: better is higher or lower, not %s", quote([]byte(name)), quote([]byte(better)))
		return
	}
	units := p.rep.Declared
	switch said, ok := units[name]; {
	case ok && said != better:
		p.warn("unit line of %s: better=%s after better=%s; the first counts", quote([]byte(name)), better, said)
	case ok:
	case len(units) >= maxUnits:
		p.warn("unit line of %s left out: more than %d units", quote([]byte(name)), maxUnits)
	case units == nil:
		p.rep.Declared = map[string]catalogue.Direction{name: better}
	default:
		units[name] = better
	}
}

// Unit returns what is known of a unit of one of the report's operations. A
// guest cannot change what a unit of the catalogue means for an operation of
// the catalogue. For any other the text's own Unit line comes first, then
// catalogue.UnitOf.
func (r *Report) Unit(res *Result, name string) catalogue.Unit {
	u := catalogue.UnitOf(name)
	if better, ok := r.Declared[name]; ok && (!res.Known || u.Doc == "") {
		u.Better = better
	}
	return u
}
