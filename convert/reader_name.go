package convert

import (
	"fmt"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

// pkgStates are the operations of one Go package. Rounds are rounds of one
// operation only where package, full name and number of processors agree: the
// identity that benchfmt has in pkg and .fullname.
type pkgStates struct {
	path   string            // "" for capsem-bench's own
	over   bool              // the end line was read, and no line that begins a run since
	byLine map[string]*state // by name as printed, "Benchmark" included
	byFull map[string]*state // by name without "Benchmark"
	byName map[string]*state // by name without the number of processors: the last
}

// maxName bounds the name of a benchmark, in bytes.
const maxName = 1000

// enter changes the package of the lines that follow.
func (p *reader) enter(path string) {
	if path == pkgPath || strings.HasSuffix(path, "/"+pathBase) {
		path = "" // a fork measures the same
	}
	pkg := p.packages[path]
	if pkg == nil {
		if len(p.packages) >= maxOps {
			return // each of them takes memory, and their names count too
		}
		pkg = &pkgStates{path: path, byLine: make(map[string]*state), byFull: make(map[string]*state), byName: make(map[string]*state)}
		p.packages[path] = pkg
	}
	p.pkg = pkg
}

// lookup returns the state of a benchmark by its printed name.
func (p *reader) lookup(name []byte) (*state, error) {
	if st, ok := p.pkg.byLine[string(name)]; ok {
		return st, nil
	}
	full := strings.TrimPrefix(string(name), "Benchmark")
	if !showable(name) || len(name) > maxName || catalogue.TrimName(full) == "" {
		p.warn("benchmark name %s left out", quote(name))
		return &state{res: newResult("")}, nil
	}
	st := p.pkg.byFull[full]
	if st == nil {
		if byComment := p.pkg.byName[catalogue.TrimName(full)]; byComment != nil && !byComment.printed {
			st = byComment // a comment line named it without its processors
		}
	}
	if st == nil {
		var err error
		if st, err = p.add(p.pkg, full); err != nil {
			return nil, err
		}
	}
	st.full, st.printed = full, true
	p.pkg.byFull[full], p.pkg.byName[catalogue.TrimName(full)] = st, st
	if p.names++; p.names < 2*maxOps {
		p.pkg.byLine[string(name)] = st
	}
	return st, nil
}

// named returns the state of an operation by the name that a comment line gives
// it: without "Benchmark" and mostly without the number of processors. Of
// several numbers of processors the last that was printed is meant.
func (p *reader) named(name string) (*state, error) {
	for _, pkg := range []*pkgStates{p.pkg, p.packages[""]} {
		if st := pkg.byFull[name]; st != nil {
			return st, nil
		}
		if st := pkg.byName[name]; st != nil {
			return st, nil
		}
	}
	if !showable([]byte(name)) || len(name) > maxName || catalogue.TrimName(name) == "" {
		p.warn("benchmark name %s left out", quote([]byte(name)))
		return &state{res: newResult("")}, nil
	}
	pkg := p.pkg
	if p.announced(name) {
		pkg = p.packages[""]
	}
	st, err := p.add(pkg, name)
	if err != nil {
		return nil, err
	}
	pkg.byFull[name], pkg.byName[catalogue.TrimName(name)] = st, st
	return st, nil
}

func (p *reader) add(pkg *pkgStates, full string) (*state, error) {
	if len(p.order) >= maxOps {
		return nil, fmt.Errorf("%s:%d: more than %d distinct benchmarks", p.file, p.line, maxOps)
	}
	st := &state{res: newResult(full), full: full}
	st.res.Pkg = pkg.path
	p.order = append(p.order, st)
	return st, nil
}

// newResult returns the result of a name until it is identified.
func newResult(full string) *Result {
	return &Result{Op: catalogue.Op{Name: full}, Values: make(map[string]*Series), iterations: new(Series)}
}

// identify gives every operation its name, and its place in the catalogue if
// it is the only one that claims it. Operations outside the catalogue keep the
// name as printed, number of processors included, since "-16" may be part of a
// name; where several packages have it, the package comes first.
func (p *reader) identify() {
	claims := make(map[string][]*state)
	packages, variants := make(map[string]int), make(map[string]int)
	for _, st := range p.order {
		packages[st.full]++
		variants[st.oneName()]++
		if op, ok := p.catalogued(st); ok {
			claims[op.ID] = append(claims[op.ID], st)
		}
	}
	for _, st := range p.order {
		res := st.res
		res.Op.Name = st.full
		if name := catalogue.TrimName(st.full); name != st.full && res.Pkg == "" && p.announced(name) && variants[st.oneName()] == 1 {
			res.Op.Name = name
		}
		if res.Pkg != "" && packages[st.full] > 1 {
			res.Op.Name = res.Pkg + "." + st.full
		}
		res.Op.Category = category(st.full)
		op, ok := p.catalogued(st)
		if !ok {
			continue
		}
		switch others := claims[op.ID]; {
		case variants[st.oneName()] > 1:
			p.line = 0
			p.warn("%s was measured with several numbers of processors: each is an operation of its own", op.Name)
		case others[0] == st:
			res.Op, res.Known = op, true
		}
	}
}

// catalogued finds the operation of the catalogue that a name claims to be.
// The names of another package are its own.
func (p *reader) catalogued(st *state) (catalogue.Op, bool) {
	if st.res.Pkg != "" {
		return catalogue.Op{}, false
	}
	return catalogue.Lookup(st.full)
}

// announced reports whether a run line has the name.
func (p *reader) announced(name string) bool { return p.expects[name] }

// oneName is what the variants of a benchmark with different numbers of
// processors have in common.
func (st *state) oneName() string { return st.res.Pkg + "\x00" + catalogue.TrimName(st.full) }

// category tells the category of a name outside the catalogue.
func category(name string) catalogue.Category {
	name = catalogue.TrimName(name)
	for _, c := range catalogue.Categories() {
		if b := c.Benchmark(); name == b || strings.HasPrefix(name, b+"/") {
			return c
		}
	}
	return ""
}
