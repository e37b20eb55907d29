// Package load drives a service with many requests and says how long they
// took: in a closed loop, where each of C workers sends its next request when
// it has its answer, or in an open loop, where requests start on a schedule
// whatever the answers do.
//
// A closed loop sends fewer requests while the service stands still, so a stall
// of a second is one slow request among thousands of fast ones and its
// percentiles hide it ("coordinated omission", G. Tene). In the open loop the
// time of a request runs from when it was due; that from when it was sent is
// kept beside it.
//
// Times go into an HdrHistogram of three significant digits.
package load

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/capsem/capsem-bench/internal/guest"
	"golang.org/x/sync/errgroup"
)

const (
	// longest is the largest time that the histogram distinguishes from larger ones.
	longest = 5 * time.Minute
	digits  = 3

	// lateAfter is how much later than due a request starts before it counts
	// as late: a timer of Go fires within 0.1 ms on an idle machine.
	lateAfter = time.Millisecond

	// maxReasons bounds the distinct reasons of one run; the rest is "other".
	maxReasons = 20
)

// A Client sends one request after another over connections of its own. It is
// for one worker.
type Client interface {
	// Do sends a request and waits for its answer. What it says of the answer
	// is counted ("allowed"); it may be "". An error is a failure, counted by
	// its text, which must be short and stable.
	Do() (decision string, err error)
	Close()
}

// A Warmer is a Client that has something to prepare, such as a connection that
// it keeps. It is called once, before the first request of any worker.
type Warmer interface{ Warm() }

// Dial makes the client of one worker.
type Dial func(context.Context) (Client, error)

// A Plan is how the requests are sent.
type Plan struct {
	Concurrency int           // workers
	Duration    time.Duration // no request begins later
	Rate        float64       // requests a second of the open loop; 0 is the closed loop
}

// A Result is what the requests came to.
type Result struct {
	Plan    Plan
	Start   time.Time
	Elapsed time.Duration // until the last answer

	OK, Failed int64
	Errors     map[string]int64 // failures by reason
	Decisions  map[string]int64 // successes by what the client said of them

	// Service has the times of the successful requests from when they were
	// sent; Due, of the open loop alone, from when they were due.
	Service, Due *hdrhistogram.Histogram

	// Late requests of the open loop started more than 1 ms after they were
	// due; Dropped ones were due and never sent, as no worker was free.
	Late, Dropped int64

	guest.Usage // of this process
}

// Run sends requests with a client for each worker. It returns when the
// duration is over and all answers are there, or ctx is done.
func Run(ctx context.Context, p Plan, dial Dial) (*Result, error) {
	clients := make([]Client, 0, p.Concurrency)
	defer func() {
		for _, c := range clients {
			c.Close()
		}
	}()
	for range p.Concurrency {
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
	}
	warm(clients)
	r := &run{Result: Result{
		Plan: p, Errors: make(map[string]int64), Decisions: make(map[string]int64),
		Service: newHistogram(), Due: newHistogram(),
	}}
	usage := guest.StartUsage()
	r.Start = time.Now()
	var g errgroup.Group
	for _, c := range clients {
		g.Go(func() error {
			r.work(ctx, c)
			return nil
		})
	}
	_ = g.Wait() // workers count their failures and go on
	r.Elapsed = time.Since(r.Start)
	r.Usage = usage()
	if p.Rate > 0 {
		r.Dropped = max(0, r.planned()-r.OK-r.Failed)
	}
	return &r.Result, nil
}

// warm prepares all clients at a time.
func warm(clients []Client) {
	var all sync.WaitGroup
	for _, c := range clients {
		if w, ok := c.(Warmer); ok {
			all.Go(w.Warm)
		}
	}
	all.Wait()
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(longest), digits) }

// run is a Result under way.
type run struct {
	Result
	next atomic.Int64 // request of the open loop
	mu   sync.Mutex   // of the Result
}

// planned is how many requests the open loop has.
func (r *run) planned() int64 { return int64(math.Ceil(r.Plan.Rate * r.Plan.Duration.Seconds())) }

// work is one worker.
func (r *run) work(ctx context.Context, c Client) {
	end := r.Start.Add(r.Plan.Duration)
	for ctx.Err() == nil {
		due := time.Now()
		if r.Plan.Rate > 0 {
			i := r.next.Add(1) - 1
			if i >= r.planned() {
				return
			}
			due = r.Start.Add(time.Duration(float64(i) / r.Plan.Rate * float64(time.Second)))
			if !waitUntil(ctx, due) {
				return
			}
		}
		sent := time.Now()
		if !sent.Before(end) {
			return
		}
		decision, err := c.Do()
		r.count(due, sent, time.Now(), decision, err)
	}
}

// waitUntil reports false if ctx was done first.
func waitUntil(ctx context.Context, due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return true
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *run) count(due, sent, answered time.Time, decision string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if sent.Sub(due) > lateAfter {
		r.Late++
	}
	if err != nil {
		r.Failed++
		add(r.Errors, err.Error())
		return
	}
	r.OK++
	if decision != "" {
		add(r.Decisions, decision)
	}
	_ = r.Service.RecordValue(clamp(answered.Sub(sent)))
	if r.Plan.Rate > 0 {
		_ = r.Due.RecordValue(clamp(answered.Sub(due)))
	}
}

func clamp(d time.Duration) int64 { return int64(min(max(d, 1), longest)) }

func add(counts map[string]int64, name string) {
	if _, ok := counts[name]; !ok && len(counts) >= maxReasons {
		name = "other"
	}
	counts[name]++
}

// Rate is the successful requests a second.
func (r *Result) Rate() float64 { return float64(r.OK) / r.Elapsed.Seconds() }

// Times are those that count: of the open loop from when requests were due.
func (r *Result) Times() *hdrhistogram.Histogram {
	if r.Plan.Rate > 0 {
		return r.Due
	}
	return r.Service
}

// Percentile returns the p-th percentile of a histogram in ns. It is not known
// unless ten values lie beyond it: p99.9 needs 10,000 requests.
func Percentile(h *hdrhistogram.Histogram, p float64) (ns float64, known bool) {
	if beyond := float64(h.TotalCount()) * (100 - p) / 100; math.Round(beyond) < 10 {
		return 0, false
	}
	return float64(h.ValueAtPercentile(p)), true
}

// Doubts are remarks that belong beside the figures.
func (r *Result) Doubts() []string {
	var doubts []string
	if doubt := r.Doubt(r.Elapsed); doubt != "" {
		doubts = append(doubts, doubt)
	}
	if r.Dropped > 0 {
		doubts = append(doubts, fmt.Sprintf("%d requests were due and never sent: no worker was free", r.Dropped))
	}
	if r.Late > 0 {
		doubts = append(doubts, fmt.Sprintf("%d of %d requests started more than %v after they were due", r.Late, r.OK+r.Failed, lateAfter))
	}
	return doubts
}
