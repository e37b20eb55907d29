package convert

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"unicode"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// maxTextLine bounds a line; a longer one is skipped and complained about.
const maxTextLine = 1 << 20

// marker starts the framing lines of -test.v=test2json.
const marker = 0x16

// Read reads the output of one or several runs: plain, -test.v, the raw
// -test.v=test2json stream or its JSON events. The name is used in messages
// only. A line that cannot be used is a warning of the report and the scan
// goes on; the error is one of r itself, or too many distinct operations.
func Read(r io.Reader, name string) (*Report, error) {
	return ReadAll(Source{name, r})
}

// ReadResults is Read without the samples lines: the values are those of the
// result lines, which testing rounds to four digits or more. That is finer
// than any two rounds agree, and reading takes a tenth of the time.
func ReadResults(r io.Reader, name string) (*Report, error) {
	p := newReader()
	p.rep.Name, p.file, p.resultsOnly = name, name, true
	if err := p.read(r); err != nil {
		return nil, err
	}
	return p.finish(), nil
}

// A Source is one text to read, with its name for messages.
type Source struct {
	Name string
	io.Reader
}

// ReadAll reads several texts as one measurement, the boots of one run for
// example: the rounds of all of them are rounds of its operations. The report
// has the name of the first.
func ReadAll(sources ...Source) (*Report, error) {
	p := newReader()
	for i, src := range sources {
		if i == 0 {
			p.rep.Name = src.Name
		}
		p.file, p.line = src.Name, 0
		p.ran, p.clocked = false, false
		if err := p.read(src); err != nil {
			return nil, err
		}
	}
	return p.finish(), nil
}

// buffers are those of texts that have been read: a comparison reads dozens.
var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

// read takes one text.
func (p *reader) read(r io.Reader) error {
	br := buffers.Get().(*bufio.Reader)
	br.Reset(r)
	defer func() {
		br.Reset(nil)
		buffers.Put(br)
	}()
	json := startsEvents(br)
	var ev events
	for {
		line, err := readLine(br, p)
		if len(line) > 0 || err == nil {
			p.line++
			if json {
				if err := ev.feed(p, line); err != nil {
					return err
				}
			} else if err := p.text(line); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", p.file, err)
		}
	}
	if json {
		return ev.flush(p)
	}
	return nil
}

// readLine returns the next line without its end. A line over maxTextLine
// comes back empty after a warning.
func readLine(br *bufio.Reader, p *reader) ([]byte, error) {
	line, err := br.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return trimEOL(line), err
	}
	long := append([]byte(nil), line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = br.ReadSlice('\n')
		if len(long) <= maxTextLine {
			long = append(long, line...)
		}
	}
	if len(long) > maxTextLine {
		p.line++
		p.warn("line is longer than %d bytes and was skipped", maxTextLine)
		p.line--
		return nil, err
	}
	return trimEOL(long), err
}

func trimEOL(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}

// reader builds a report line by line.
type reader struct {
	rep         *Report
	file        string // under way
	line        int
	torn        bool              // some run before the last has no end line
	early       *record.End       // the first end of a run that did not come to its end
	elapsed     int64             // of the runs before the last, ns
	byLine      map[string]*state // by name as printed
	byName      map[string]*state // by catalogue name
	order       []*state
	expected    []string
	resultsOnly bool // leave out samples lines
	ran         bool // the text under way had a run line
	clocked     bool // it had a clock line before that
	clocks      clockDoubts
}

// state is a result while it is being read.
type state struct {
	res     *Result
	block   int  // rounds before the current run's
	failed  bool // a FAIL line or a failed status
	skipped bool
	wrong   string       // a number that cannot be, "" without one
	status  record.State // the worst of the status lines, "" without one
	series  []*Series    // res.Values in the order of res.Units
}

func newReader() *reader {
	return &reader{
		rep:    &Report{Config: make(map[string]string), Categories: make(map[catalogue.Category]*record.Category)},
		byLine: make(map[string]*state), byName: make(map[string]*state),
	}
}

func (p *reader) warn(format string, args ...any) {
	if len(p.rep.Warnings) >= maxWarnings {
		p.rep.Dropped++
		return
	}
	p.rep.Warnings = append(p.rep.Warnings, Warning{p.file, p.line, fmt.Sprintf(format, args...)})
}

var (
	benchmark = []byte("Benchmark")
	comment   = []byte(record.Prefix)
	// samplesLine is how record.Append begins one; another spelling is read.
	samplesLine = []byte(record.Prefix + `{"type":"samples"`)
)

// text takes one line of benchmark text.
func (p *reader) text(line []byte) error {
	if len(line) > 0 && line[0] == marker {
		line = line[1:]
	}
	switch {
	case bytes.HasPrefix(line, benchmark):
		return p.result(line)
	case bytes.HasPrefix(line, comment):
		if p.resultsOnly && bytes.HasPrefix(line, samplesLine) {
			return nil
		}
		return p.comment(line)
	case len(line) == 0:
		return nil
	}
	return p.other(line)
}

// result takes a line that starts with a benchmark's name: its result, or
// the bare name that -test.v prints, or a torn line.
func (p *reader) result(line []byte) error {
	name, rest := field(line)
	if end := bytes.TrimLeft(rest, " \t"); bytes.HasPrefix(end, []byte("--- ")) {
		return p.other(end) // a round after the first that failed
	}
	first, rest := field(rest)
	if len(first) == 0 {
		return nil // a name alone: -test.v, or testing was interrupted
	}
	n, ok := atoi(first)
	if !ok || n <= 0 {
		p.warn("torn result line of %s", quote(name))
		return nil
	}
	st, err := p.lookup(name)
	if err != nil {
		return err
	}
	pairs := 0
	for {
		var value, unit []byte
		value, rest = field(rest)
		if len(value) == 0 {
			break
		}
		unit, rest = field(rest)
		v, ok := parseFloat(value)
		if ok && !possible(v) {
			st.wrong = fmt.Sprintf("a value in %s is not a number that can be: %s", quote(unit), quote(value))
			p.warn("%s: %s", quote(name), st.wrong)
			break
		}
		if !ok || len(unit) == 0 {
			p.warn("result line of %s: %s is no value with a unit", quote(name), quote(value))
			break
		}
		p.value(st, pairs, unit, v)
		pairs++
	}
	if pairs > 0 {
		st.res.Rounds++
	}
	return nil
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
		if len(res.Units) >= maxUnits || !showable(unit) {
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

// lookup returns the state of a benchmark by its printed name.
func (p *reader) lookup(name []byte) (*state, error) {
	if st, ok := p.byLine[string(name)]; ok {
		return st, nil
	}
	if !showable(name) || len(name) > 1000 || catalogue.TrimName(string(name)) == "" {
		p.warn("benchmark name %s left out", quote(name))
		return &state{res: &Result{Values: make(map[string]*Series)}}, nil
	}
	trimmed := catalogue.TrimName(string(name))
	st, ok := p.byName[trimmed]
	if !ok {
		if len(p.order) >= maxOps {
			return nil, fmt.Errorf("%s:%d: more than %d distinct benchmarks", p.file, p.line, maxOps)
		}
		st = newState(trimmed)
		p.byName[trimmed] = st
		p.order = append(p.order, st)
	}
	if len(p.byLine) < 2*maxOps {
		p.byLine[string(name)] = st
	}
	return st, nil
}

func newState(name string) *state {
	res := &Result{Values: make(map[string]*Series)}
	res.Op, res.Known = catalogue.Lookup(name)
	if !res.Known {
		res.Op = catalogue.Op{Name: name, Category: category(name)}
	}
	return &state{res: res}
}

// category tells the category of a name outside the catalogue.
func category(name string) catalogue.Category {
	for _, c := range catalogue.Categories() {
		if b := c.Benchmark(); name == b || len(name) > len(b) && name[:len(b)+1] == b+"/" {
			return c
		}
	}
	return ""
}

// other takes the lines of testing that are no results.
func (p *reader) other(line []byte) error {
	line = bytes.TrimLeft(line, " ")
	for prefix, set := range map[string]func(*state){
		"--- FAIL: ": func(st *state) { st.failed = true },
		"--- SKIP: ": func(st *state) { st.skipped = true },
	} {
		if rest, ok := bytes.CutPrefix(line, []byte(prefix)); ok {
			name, _ := field(rest)
			if !bytes.HasPrefix(name, benchmark) {
				return nil
			}
			st, err := p.lookup(name)
			if err != nil {
				return err
			}
			set(st)
			return nil
		}
	}
	if bytes.HasPrefix(line, []byte("panic: ")) {
		p.warn("the benchmark binary crashed: %s", quote(line))
		return nil
	}
	key, value, ok := bytes.Cut(line, []byte(": "))
	if ok && config(key) {
		p.rep.Config[string(key)] = clean(value, 200)
	}
	return nil
}

func config(key []byte) bool {
	switch string(key) {
	case "goos", "goarch", "pkg", "cpu":
		return true
	}
	return false
}

// field returns the first blank-separated field and what follows it.
func field(line []byte) (word, rest []byte) {
	i := 0
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	j := i
	for j < len(line) && line[j] != ' ' && line[j] != '\t' {
		j++
	}
	return line[i:j], line[j:]
}

// parseFloat reads a number; whole ones, which most are, the short way.
func parseFloat(b []byte) (float64, bool) {
	if n, ok := atoi(b); ok && n < 1<<53 {
		return float64(n), true
	}
	v, err := strconv.ParseFloat(string(b), 64)
	return v, err == nil
}

func atoi(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}

// showable reports whether text can be shown as it is.
func showable(text []byte) bool {
	for _, r := range string(text) {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// quote shows untrusted bytes, shortened, in quotes with escapes.
func quote(b []byte) string {
	if len(b) > 80 {
		return strconv.QuoteToGraphic(string(b[:77]) + "...")
	}
	return strconv.QuoteToGraphic(string(b))
}

// clean returns untrusted bytes without control characters, shortened.
func clean(b []byte, limit int) string {
	var out []rune
	for _, r := range string(b) {
		if len(out) >= limit {
			return string(out) + "..."
		}
		if r != unicode.ReplacementChar && unicode.IsPrint(r) {
			out = append(out, r)
		}
	}
	return string(out)
}
