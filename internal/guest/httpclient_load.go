package guest

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

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
}

// Load sends n requests over at most concurrency connections and returns when
// all are answered, failed, or ctx is done. One worker keeps one connection
// and takes the next request when it is free.
//
// A request is successful with a status from 200 to 399 (redirects are not
// followed) and a complete body. Its time runs from just before the request is
// written to the last byte of the body; the first request of a connection
// includes its connect, proxy tunnel and TLS handshake, as it does for a
// program that keeps a session. wrk leaves these out; hey has them in.
//
// A failed request is sent once and counted by its reason, with one
// exception: a kept connection that the origin closed before the first byte
// of an answer is replaced, once, within the time of that request.
func (c *HTTPClient) Load(ctx context.Context, n, concurrency int) *LoadResult {
	times := make([]int64, n) // 0: failed or never sent
	workers := make([]*loadWorker, min(n, concurrency))
	for i := range workers {
		workers[i] = &loadWorker{client: c, reader: newResponseReader(nil), errors: make(map[string]int64)}
	}
	var next atomic.Int64
	var g errgroup.Group
	r := &LoadResult{Asked: n, Errors: make(map[string]int64), Start: time.Now()}
	for _, w := range workers {
		g.Go(func() error {
			defer w.hangUp()
			for {
				i := next.Add(1) - 1
				if i >= int64(n) || ctx.Err() != nil {
					return nil
				}
				times[i] = w.get(ctx)
			}
		})
	}
	_ = g.Wait() // workers count their failures and go on
	r.Elapsed = time.Since(r.Start)
	for _, w := range workers {
		r.add(w)
	}
	r.Times = succeeded(times)
	return r
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

func (r *LoadResult) add(w *loadWorker) {
	r.OK += w.ok
	r.Failed += w.failed
	r.Bytes += w.bytes
	r.Connections += w.connections
	r.Reconnects += w.reconnects
	for reason, n := range w.errors {
		countReason(r.Errors, reason, n)
	}
}

// loadWorker is one connection and its counts.
type loadWorker struct {
	client *HTTPClient
	conn   *httpConn
	reader *responseReader
	errors map[string]int64

	ok, failed, bytes       int64
	connections, reconnects int64
}

func (w *loadWorker) hangUp() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

// get sends one request and returns its time in ns, or 0 if it failed.
func (w *loadWorker) get(ctx context.Context) int64 {
	start := time.Now()
	deadline := start.Add(w.client.timeout)
	n, err := w.exchange(ctx, deadline)
	if err != nil {
		w.failed++
		countReason(w.errors, requestReason(err), 1)
		return 0
	}
	w.ok++
	w.bytes += n
	return max(int64(time.Since(start)), 1)
}

// exchange is one request with its response; it leaves a connection that can
// carry another request, or none.
func (w *loadWorker) exchange(ctx context.Context, deadline time.Time) (int64, error) {
	if err := w.answer(ctx, deadline); err != nil {
		return 0, causeOf(ctx, err)
	}
	n, err := w.reader.discard()
	head := &w.reader.head
	w.conn.served = true
	// Bytes that no request asked for would be taken for the next answer.
	if err != nil || head.close || w.reader.buffered() > 0 {
		w.hangUp()
	}
	if err == nil && (head.status < 200 || head.status > 399) {
		err = statusError(head.status)
	}
	if err != nil {
		return 0, causeOf(ctx, err)
	}
	return n, nil
}

// answer brings the head of a response, over the kept connection if there is
// one, else over a new one.
func (w *loadWorker) answer(ctx context.Context, deadline time.Time) error {
	if w.conn != nil {
		err := w.conn.SetDeadline(deadline)
		if err == nil {
			err = w.conn.send(w.client.request)
		}
		if err == nil {
			return nil
		}
		stale := w.conn.isStale(err)
		w.hangUp()
		if !stale || ctx.Err() != nil {
			return err
		}
		w.reconnects++
	}
	conn, err := w.client.connect(ctx, deadline, w.reader)
	if err != nil {
		return err
	}
	w.connections++
	w.conn = conn
	if err := conn.send(w.client.request); err != nil {
		w.hangUp()
		return err
	}
	return nil
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
	l := Summarize(r.Times)
	s.Latency = l
	s.Metrics["ns/op"] = l.Mean
	s.Metrics["req/s"] = float64(r.OK) / r.Elapsed.Seconds()
	s.Metrics["p50-ns"], s.Metrics["p95-ns"], s.Metrics["p99-ns"] = l.P50, l.P95, l.P99
	s.Metrics["min-ns"], s.Metrics["max-ns"] = l.Min, l.Max
	return s
}

// Doubts are remarks that belong beside the figures.
func (r *LoadResult) Doubts() []string {
	if r.Reconnects == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the origin closed %d kept connections between requests", r.Reconnects)}
}
