package httpload

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/record"
	"golang.org/x/sync/errgroup"
)

// A LoadResult is what N requests came to.
type LoadResult struct {
	Start   time.Time
	Elapsed time.Duration
	Asked   int // N
	OK      int64
	Failed  int64
	Bytes   int64   // of the bodies of successful requests
	Times   []int64 // ns of the successful requests, in request order
	Errors  map[string]int64
	// Connections were opened; Reconnects of them because the origin had
	// closed a kept one before it answered anything.
	Connections, Reconnects int64
	// Redirects were followed, the last of them to RedirectedTo.
	Redirects    int64
	RedirectedTo string
	BuiltIn      bool // the last answer of a connection was the stand-in origin's

	phases Phases  // sums over the connections
	firsts []int64 // ns of the successful requests to their first byte
	usage  guest.Usage
}

// Load sends n requests over at most concurrency connections and returns when
// all are answered, failed, or ctx is done. One worker keeps one connection
// and takes the next request when it is free.
//
// A request is successful with a status from 200 to 299 and a complete body.
// Redirects are followed, as Capsem's own client does, and are part of the
// request. Its time runs from just before the request is written to the last
// byte of the body; the first request of a connection includes its connect,
// proxy tunnel and TLS handshake, as it does for a program that keeps a
// session. wrk leaves these out; hey has them in.
//
// A failed request is sent once and counted by its reason, with one
// exception: a kept connection that the origin closed before the first byte
// of an answer is replaced, once, within the time of that request.
func (c *Client) Load(ctx context.Context, n, concurrency int) (*LoadResult, error) {
	times := make([]int64, n) // 0: failed or never sent
	loaders := make([]*loader, min(n, concurrency))
	for i := range loaders {
		w, err := c.newWorker(ctx)
		if err != nil {
			return nil, err
		}
		loaders[i] = &loader{worker: w, errors: make(map[string]int64)}
	}
	var next atomic.Int64
	var g errgroup.Group
	usage := guest.StartUsage()
	r := &LoadResult{Asked: n, Errors: make(map[string]int64), Start: time.Now()}
	for _, l := range loaders {
		g.Go(func() error {
			defer l.close()
			for {
				i := next.Add(1) - 1
				if i >= int64(n) || ctx.Err() != nil {
					return nil
				}
				times[i] = l.get()
			}
		})
	}
	_ = g.Wait() // workers count their failures and go on
	r.Elapsed = time.Since(r.Start)
	r.usage = usage()
	for _, l := range loaders {
		r.add(l)
	}
	r.Times = succeeded(times)
	return r, nil
}

// succeeded drops the zeros of requests without a time.
func succeeded(times []int64) []int64 {
	kept := times[:0]
	for _, t := range times {
		if t > 0 {
			kept = append(kept, t)
		}
	}
	return kept
}

func (r *LoadResult) add(l *loader) {
	r.OK += l.ok
	r.Failed += l.failed
	r.Bytes += l.bytes
	r.Connections += l.connections
	r.Reconnects += l.reconnects
	r.phases.add(l.phases)
	r.firsts = append(r.firsts, l.firsts...)
	r.BuiltIn = r.BuiltIn || l.builtIn()
	if l.redirects > 0 {
		r.Redirects += l.redirects
		r.RedirectedTo = record.Printable(l.url.Redacted(), 200)
	}
	for reason, n := range l.errors {
		countReason(r.Errors, reason, n)
	}
}

// loader is a worker and what came of its requests.
type loader struct {
	*worker
	errors            map[string]int64
	ok, failed, bytes int64
	firsts            []int64 // ns to the first byte of an answer
}

// get sends one request and returns its time in ns, or 0 if it failed.
func (l *loader) get() int64 {
	start := time.Now()
	n, err := l.exchange()
	if err != nil {
		l.failed++
		countReason(l.errors, requestReason(err), 1)
		return 0
	}
	took := max(int64(time.Since(start)), 1)
	l.ok++
	l.bytes += n
	l.firsts = append(l.firsts, min(max(int64(l.firstByte().Sub(start)), 1), took))
	return took
}

// exchange is one request with its response; it returns the length of the body.
func (l *loader) exchange() (int64, error) {
	if err := l.worker.get(); err != nil {
		return 0, err
	}
	status := l.response.StatusCode()
	n, err := l.discard()
	if err == nil && (status < 200 || status > 299) {
		err = statusError(status)
	}
	return n, err
}

// Err is nil when every request succeeded; else it counts the failures.
func (r *LoadResult) Err() error {
	switch done := r.OK + r.Failed; {
	case r.Failed > 0:
		return fmt.Errorf("%d of %d requests failed: %s", r.Failed, r.Asked, describeReasons(r.Errors))
	case done < int64(r.Asked):
		return fmt.Errorf("%d of %d requests were not sent", int64(r.Asked)-done, r.Asked)
	}
	return nil
}

// Samples are the values of the pass. Without a successful request there is
// no latency and no rate.
func (r *LoadResult) Samples() record.Samples {
	s := record.Samples{
		StartNS: r.Start.UnixNano(), ElapsedNS: int64(r.Elapsed), Count: r.OK, Failed: r.Failed, Bytes: r.Bytes,
		Metrics: map[string]float64{"errors": float64(r.Failed)},
	}
	if len(r.Errors) > 0 {
		s.Errors = r.Errors
	}
	if r.OK == 0 {
		return s
	}
	if len(r.Times) <= record.MaxValues {
		s.Values = append([]int64(nil), r.Times...)
	}
	l := record.LatencyOf(r.Times)
	s.Latency = l
	s.Metrics["ns/op"] = l.Mean
	s.Metrics["req/s"] = float64(r.OK) / r.Elapsed.Seconds()
	s.Metrics["p50-ns"], s.Metrics["p95-ns"], s.Metrics["p99-ns"] = l.P50, l.P95, l.P99
	s.Metrics["min-ns"], s.Metrics["max-ns"] = l.Min, l.Max
	r.phases.metrics(s.Metrics, r.Connections)
	first := record.LatencyOf(r.firsts)
	s.Metrics["ttfb-p50-ns"], s.Metrics["ttfb-p95-ns"] = first.P50, first.P95
	s.CPUNS = int64(r.usage.CPU)
	s.Metrics["maxrss-B"] = float64(r.usage.PeakRSS)
	return s
}

// AnsweredByBuiltIn stands beside figures of the stand-in's origin, which answers
// for https://www.google.com/ and for a URL of the user's alike.
const AnsweredByBuiltIn = "answered by the built-in origin"

// Doubts are remarks that belong beside the figures.
func (r *LoadResult) Doubts() []string {
	var doubts []string
	if r.BuiltIn {
		doubts = append(doubts, AnsweredByBuiltIn)
	}
	if doubt := r.usage.Doubt(r.Elapsed); doubt != "" {
		doubts = append(doubts, doubt)
	}
	if r.Reconnects > 0 {
		doubts = append(doubts, fmt.Sprintf("the origin closed %d kept connections between requests", r.Reconnects))
	}
	if r.Redirects > 0 {
		doubts = append(doubts, fmt.Sprintf("the requests include %d redirects, to %s", r.Redirects, r.RedirectedTo))
	}
	return doubts
}
