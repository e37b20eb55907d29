package convert

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
)

// maxTextLine bounds a line; a longer one is skipped and complained about.
const maxTextLine = 1 << 20

// marker starts the framing lines of -test.v=test2json.
const marker = 0x16

// Read reads the output of one or several runs: plain, -test.v, the raw
// -test.v=test2json stream or its JSON events, which are distinguished line by
// line, as Decode reads it. The name is used in messages only. A line that
// cannot be used is a warning of the report and the scan goes on; the error is
// one of r itself, of its encoding, or too many distinct operations.
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
		p.head, p.copied = head{}, false
		clear(p.runs)
		p.enter("")
		p.begin()
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
	r, err := Decode(r, p.file)
	if err != nil {
		return err
	}
	br := buffers.Get().(*bufio.Reader)
	br.Reset(r)
	defer func() {
		br.Reset(nil)
		buffers.Put(br)
	}()
	ev := make(events)
	for {
		line, err := readLine(br, p)
		if len(line) > 0 || err == nil {
			p.line++
			if err := p.anyLine(ev, line); err != nil {
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
	return ev.flush(p)
}

// anyLine takes one line of the input: an event where it is one, else text.
func (p *reader) anyLine(ev events, line []byte) error {
	line = bytes.TrimPrefix(line, []byte(bom)) // of a file that was appended
	if isEvent, err := ev.feed(p, line); isEvent || err != nil {
		return err
	}
	return p.text(line)
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
	torn        bool        // some run before the last has no end line
	early       *record.End // the first end of a run that did not come to its end
	elapsed     int64       // of the runs before the last, ns
	packages    map[string]*pkgStates
	pkg         *pkgStates // of the line under way
	order       []*state
	names       int // of all packages
	expected    []string
	expects     map[string]bool // the same
	pairs       []pair          // of the result line under way
	resultsOnly bool            // leave out samples lines
	head        head            // of the text under way
	clocks      clockDoubts
	runs        map[runID]bool // of this text, that have begun
	copied      bool           // the run under way is one that was read before
}

// runID tells runs apart that guests began: the time is to the nanosecond.
type runID struct {
	time     float64
	seed     uint64
	hostname string
}

// state is a result while it is being read.
type state struct {
	res     *Result
	full    string // the name as printed, with its number of processors
	printed bool   // full was printed by testing, and not named by a comment line
	block   int    // rounds before the current run's
	failed  bool   // a FAIL line or a failed status
	skipped bool
	wrong   string       // a number that cannot be, "" without one
	status  record.State // the worst of the status lines, "" without one
	series  []*Series    // res.Values in the order of res.Units
}

func newReader() *reader {
	p := &reader{
		rep:      &Report{Config: make(map[string]string), Categories: make(map[catalogue.Category]*record.Category)},
		packages: make(map[string]*pkgStates),
		expects:  make(map[string]bool),
		runs:     make(map[runID]bool),
	}
	p.enter("")
	return p
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
	unitLine  = []byte("Unit ")
	// samplesLine is how record.Append begins one; another spelling is read.
	samplesLine = []byte(record.Prefix + `{"type":"samples"`)
)

// text takes one line of benchmark text.
func (p *reader) text(line []byte) error {
	if len(line) > 0 && line[0] == marker {
		line = line[1:]
	}
	switch {
	case len(line) == 0:
		return nil
	case bytes.HasPrefix(line, comment) && !(p.resultsOnly && bytes.HasPrefix(line, samplesLine)):
		return p.comment(line)
	}
	p.head.end()
	switch {
	case bytes.HasPrefix(line, benchmark):
		return p.result(line)
	case bytes.HasPrefix(line, comment):
		return nil
	case bytes.HasPrefix(line, unitLine):
		p.unit(line[len(unitLine):])
		return nil
	}
	return p.other(line)
}

// other takes the lines of testing that are no results.
func (p *reader) other(line []byte) error {
	p.misplaced(line)
	line = bytes.TrimLeft(line, " ")
	for _, mark := range []string{"--- FAIL: ", "--- SKIP: "} {
		if rest, ok := bytes.CutPrefix(line, []byte(mark)); ok {
			name, _ := field(rest)
			return p.ended(name, mark == "--- FAIL: ")
		}
	}
	if reason := failure(line); reason != "" {
		p.fail(reason)
	}
	if bytes.HasPrefix(line, []byte("panic: ")) {
		p.warn("the benchmark binary crashed: %s", quote(line))
		return nil
	}
	key, value, ok := bytes.Cut(line, []byte(": "))
	if ok && config(key) {
		defer p.begin() // of what follows, and of its package
		p.rep.Config[string(key)] = clean(value, 200)
		if string(key) == "pkg" {
			p.enter(clean(value, 200))
		}
	}
	return nil
}

// ended takes the word of testing that a test or benchmark failed or was
// skipped.
func (p *reader) ended(name []byte, failed bool) error {
	if !benchmarkName(name) {
		if failed {
			p.fail(clean(name, 200) + " failed")
		}
		return nil
	}
	var st *state
	var err error
	if op := string(bytes.TrimPrefix(name, benchmark)); p.announced(op) {
		// Of a round after the first testing says it twice, the first time
		// without the number of processors.
		st, err = p.named(op)
	} else {
		st, err = p.lookup(name)
	}
	if err != nil {
		return err
	}
	st.failed, st.skipped = st.failed || failed, st.skipped || !failed
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
func showable(text []byte) bool { return termtext.Cell(string(text)) == string(text) }

// quote shows untrusted bytes, shortened, in quotes with escapes.
func quote(b []byte) string {
	if len(b) > 80 {
		b = append(b[:77:77], "..."...)
	}
	return termtext.Cell(strconv.QuoteToGraphic(string(b)))
}

// clean returns untrusted bytes as they may be shown, shortened.
func clean(b []byte, limit int) string { return termtext.Short(string(b), limit) }
