package guest

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest/coldcache"
	"github.com/capsem/capsem-bench/internal/record"
)

// A Pass is one round of one operation. It owns what the round measured and
// what is to be said of it; a Body sets up, calls its methods and cleans up:
//
//	p.Cold(file)               // drop the caches and prove it
//	err := p.Time(cmd.Run)     // one timed operation
//	p.Report("ns/op", ...)     // the metrics that the catalogue lists
//	p.Doubt("the disk is ...") // a remark that belongs beside the number
type Pass struct {
	next    catalogue.Op // of the run
	ctx     context.Context
	samples record.Samples
	status  record.Status
	single  []int64 // times of single operations or accesses, ns
	timed   bool    // the last operation succeeded, as far as Time knows
	spans   []span  // when something was timed
}

// A Body is the work of a pass. Its error decides how the operation ended: nil
// is ok, SkipError skipped, InvalidError invalid, any other failed. What was
// measured until then is kept.
type Body func(p *Pass) error

// Accesses are the times of a loop that times each of its accesses itself,
// because a call of Pass.Time for each would be part of what it measures.
type Accesses struct {
	Start   time.Time
	Elapsed time.Duration // of all accesses, without what lay between them
	Bytes   int64         // moved
	Times   []int64       // of single accesses, ns
}

// Context ends with a signal or the watchdog.
func (p *Pass) Context() context.Context { return p.ctx }

// Next is the operation that follows in this run; the zero Op after the last.
func (p *Pass) Next() catalogue.Op { return p.next }

// Cold drops the caches for the files that will be read and records how cold
// they are. Of several calls in a pass the least cold counts.
func (p *Pass) Cold(files ...string) { p.drop(coldcache.Drop, files) }

// ColdPart is Cold for files that are only a part of what will be read.
func (p *Pass) ColdPart(files ...string) { p.drop(coldcache.DropPart, files) }

func (p *Pass) drop(drop func([]string, coldcache.Reach) record.Status, files []string) {
	p.status = worse(p.status, drop(files, coldcache.Reach{
		FilesOnly: os.Getenv(catalogue.EnvDropped) == catalogue.DroppedFiles, Host: os.Getenv(catalogue.EnvHostCaches),
	}))
}

// Time times f as one operation. Its time counts if f succeeds; else the
// failure is counted and the error is returned.
func (p *Pass) Time(f func() error) error {
	start := time.Now()
	err := f()
	end := time.Now()
	elapsed := end.Sub(start)
	p.measuring(start, end)
	p.samples.ElapsedNS += int64(elapsed)
	p.samples.Count++
	p.samples.Values = append(p.samples.Values, int64(elapsed))
	p.single = p.samples.Values
	p.timed = true
	return p.Verify(err)
}

// Verify takes the error of a check of what the last operation of Time did,
// and returns it. With an error the operation was a failure: it is counted as
// one, and its time only says how long the pass took that has nothing else.
func (p *Pass) Verify(err error) error {
	if err == nil || !p.timed {
		return err
	}
	p.timed = false
	last := len(p.samples.Values) - 1
	p.samples.Count--
	p.samples.Failed++
	if last > 0 {
		p.samples.ElapsedNS -= p.samples.Values[last]
	}
	p.samples.Values = p.samples.Values[:last]
	p.single = p.samples.Values
	return err
}

// TimeEach runs a loop that times its accesses. Those of a failed loop do not
// count.
func (p *Pass) TimeEach(loop func(context.Context) (Accesses, error)) error {
	a, err := loop(p.ctx)
	if err != nil {
		return err
	}
	p.measuring(a.Start, time.Now())
	p.samples.ElapsedNS += int64(a.Elapsed)
	p.samples.Bytes += a.Bytes
	p.samples.Count += int64(len(a.Times))
	p.single = append(p.single, a.Times...)
	return nil
}

// measuring notes when something was timed.
func (p *Pass) measuring(from, to time.Time) {
	p.spans = append(p.spans, span{from, to})
	if p.samples.StartNS == 0 {
		p.samples.StartNS = from.UnixNano()
	}
}

// TimeWarm runs a loop of TimeEach again, outside of the timer, now that its
// files are cached, and records how long that took. A cold pass
// that was not slower was not decided by the disk. See coldcache.Warm for the
// cached and touched pages.
func (p *Pass) TimeWarm(loop func(context.Context) (Accesses, error), cached func() (pages int64, known bool), touched int64) {
	var times []int64
	p.samples.WarmNS = int64(coldcache.Warm(p.ctx, cached, touched, func() (time.Duration, error) {
		a, err := loop(p.ctx)
		times = a.Times
		return a.Elapsed, err
	}))
	if p.samples.WarmNS > 0 {
		p.samples.WarmHistogram = record.HistogramOf(times)
	}
}

// Measured records what a client that times itself has measured, in place of
// everything before, and its doubts.
func (p *Pass) Measured(s record.Samples, doubts ...string) {
	p.samples = s
	from := time.Unix(0, s.StartNS)
	p.spans = []span{{from, from.Add(time.Duration(s.ElapsedNS))}}
	for _, d := range doubts {
		p.Doubt("%s", d)
	}
}

// Report sets the value of a unit. The catalogue says which units an operation
// has; one that is missing is a failure.
func (p *Pass) Report(unit string, value float64) {
	if p.samples.Metrics == nil {
		p.samples.Metrics = make(map[string]float64)
	}
	p.samples.Metrics[unit] = value
}

// Doubt adds a remark that belongs beside the number.
func (p *Pass) Doubt(format string, args ...any) {
	p.status.Doubts = appendOnce(p.status.Doubts, fmt.Sprintf(format, args...))
}

// Failures counts operations that failed without ending the pass, by reason.
func (p *Pass) Failures(reasons map[string]int64) {
	for _, n := range reasons {
		p.samples.Failed += n
	}
	p.samples.Errors = reasons
}

// Describe sets what the samples say besides times: File, Files, Block, Count.
func (p *Pass) Describe(set func(s *record.Samples)) { set(&p.samples) }

// Command records the command line that is measured; it is known for one that
// never ran, too.
func (p *Pass) Command(argv []string) { p.samples.Command, p.status.Command = argv, argv }

// Elapsed is the time of all that was timed.
func (p *Pass) Elapsed() time.Duration { return time.Duration(p.samples.ElapsedNS) }

// Bytes is how many bytes the accesses have moved.
func (p *Pass) Bytes() int64 { return p.samples.Bytes }

// Count is how many operations or accesses succeeded.
func (p *Pass) Count() int64 { return p.samples.Count }

// Failed is how many operations failed.
func (p *Pass) Failed() int64 { return p.samples.Failed }

// Latency summarises the single times, records the summary and returns it; it
// is the zero value if nothing was timed.
func (p *Pass) Latency() record.Latency {
	l := record.LatencyOf(slices.Clone(p.single))
	if l == nil {
		return record.Latency{}
	}
	p.samples.Latency = l
	if len(p.samples.Values) == 0 { // else they are all there
		p.samples.Histogram = record.HistogramOf(p.single)
	}
	return *l
}
