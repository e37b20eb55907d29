package convert

import (
	"fmt"
	"slices"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/montanaflynn/stats"
)

// Bounds on what one report keeps, whatever is fed to it.
const (
	maxOps      = 10_000 // distinct operations; more is an error
	maxUnits    = 64     // distinct units of one operation
	maxSamples  = 256    // samples lines of one operation
	maxWarnings = 100    // complaints
)

// A Report is everything one benchmark text says, by operation.
type Report struct {
	Name       string            // where it was read from, for messages
	Boot       *record.Boot      // nil when the text is no boot of several
	Machine    []*record.Machine // of the host, before and after the boot; often none
	Clock      *record.Clock     // the guest's against the host's; nil when the host wrote none
	Run        *record.Run       // nil when the text has none; the first of several
	End        *record.End       // nil when the text has none: incomplete
	Config     map[string]string
	Categories map[catalogue.Category]*record.Category
	// Ops are the expected operations in catalogue order, then those the
	// catalogue does not know, in order of appearance.
	Ops      []*Result
	Warnings []Warning
	// Failures say that go test, or what it ran, failed.
	Failures []Failure
	// Declared is what the text's own Unit lines say of a unit.
	Declared map[string]catalogue.Direction
	// Dropped counts the warnings beyond the first 100.
	Dropped int
}

// A Warning is a complaint about one line. Line is 0 for the whole text.
type Warning struct {
	File string
	Line int
	Msg  string
}

func (w Warning) String() string {
	if w.Line == 0 {
		return fmt.Sprintf("%s: %s", w.File, w.Msg)
	}
	return fmt.Sprintf("%s:%d: %s", w.File, w.Line, w.Msg)
}

// A Result is one operation over all its rounds.
type Result struct {
	Op     catalogue.Op // of an unknown operation: Name and Category only
	Known  bool         // the catalogue has it
	Pkg    string       // the Go package, "" for capsem-bench's own
	Status record.State
	Reason string
	// Note has the remarks of the last status line: cache, doubts, command.
	Note record.Status
	// Rounds is how many rounds were seen.
	Rounds int
	// Runs has the good rounds of each run that is in the text or texts, in
	// order: where each boot's part of Values ends. It is empty without status
	// lines.
	Runs []int
	// Units are the units of Values in order of appearance.
	Units []string
	// Values has one value per good round by unit. A value of a samples line
	// replaces that of the result line, which is rounded to four digits.
	Values map[string]*Series
	// Samples are the samples lines, failed rounds included, at most 256.
	Samples []record.Samples
	// iterations has the iterations of each result line.
	iterations *Series
}

// Figure returns the values of a unit, one a good round, and whether they are
// exact: those of samples lines or of a document, and not rounded to the digits
// of a result line. It is the one way to tell.
func (r *Result) Figure(unit string) (values []float64, exact bool) {
	s := r.Values[unit]
	return s.Values(), s != nil && s.exact > 0 && s.exact >= len(s.values)
}

// Find returns the operation with the catalogue ID, or nil.
func (r *Report) Find(id string) *Result {
	for _, res := range r.Ops {
		if res.Known && res.Op.ID == id {
			return res
		}
	}
	return nil
}

// Category returns the operations of one category.
func (r *Report) Category(c catalogue.Category) []*Result {
	var out []*Result
	for _, res := range r.Ops {
		if res.Op.Category == c {
			out = append(out, res)
		}
	}
	return out
}

// FirstWarning is why a text without an operation may have none, behind a
// semicolon; "" if nothing was complained about.
func (r *Report) FirstWarning() string {
	if len(r.Warnings) == 0 {
		return ""
	}
	return "; " + r.Warnings[0].String()
}

// Complete reports whether the run says that it came to its end.
func (r *Report) Complete() bool {
	return r.End != nil && (r.End.Status == "ok" || r.End.Status == "failed")
}

// OK reports whether the run came to its end without a failure and every
// expected operation is ok or skipped.
func (r *Report) OK() bool {
	return r.Complete() && len(r.Failures) == 0 && !slices.ContainsFunc(r.Ops, func(res *Result) bool {
		return res.Status != record.OK && res.Status != record.Skipped
	})
}

// A Series is the values of one unit, at most 1024 of them: beyond that each
// value is as likely to be kept as any other (reservoir sampling, Vitter
// 1985). The choice is the same for the same number of values.
type Series struct {
	N      int64 // values seen
	values []float64
	exact  int // of them replaced by those of samples lines
}

const maxValues = 1024

// Add takes one more value.
func (s *Series) Add(v float64) {
	s.N++
	if s.values == nil {
		s.values = make([]float64, 0, 10) // the rounds of a usual boot
	}
	if len(s.values) < maxValues {
		s.values = append(s.values, v)
		return
	}
	if i := mix(uint64(s.N)) % uint64(s.N); i < maxValues {
		s.values[i] = v
	}
}

// mix is the finaliser of SplitMix64: a cheap, well spread hash.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// NewSeries returns a series of the given values.
func NewSeries(values ...float64) *Series {
	s := new(Series)
	for _, v := range values {
		s.Add(v)
	}
	return s
}

// Values returns the values kept, in order of appearance up to 1024.
func (s *Series) Values() []float64 {
	if s == nil {
		return nil
	}
	return s.values
}

// Median returns the median: the mean of the middle two of an even number, 0
// of none.
func (s *Series) Median() float64 { return medianFloats(s.Values()) }

// medianFloats returns the median of values, 0 of none.
func medianFloats(values []float64) float64 {
	m, err := stats.Median(values)
	if err != nil {
		return 0 // none
	}
	return m
}
