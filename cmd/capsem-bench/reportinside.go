package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/history"
	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/report"
)

// insideStore is what lies behind the figures of the newest run of a store:
// from its texts, and from a session database where one lies in dir.
func insideStore(ctx context.Context, s *history.Store, runs []history.RunInfo, dir string) (report.Inside, error) {
	var in report.Inside
	if len(runs) == 0 {
		return in, nil
	}
	last := runs[len(runs)-1]
	docs, err := s.Documents(ctx, last.ID)
	if err != nil {
		return in, err
	}
	in.Name = last.Title()
	var reps []*convert.Report
	for _, d := range docs {
		rep, err := convert.Read(bytes.NewReader(d.Data), d.Name)
		if err == nil && rep.Run != nil {
			reps = append(reps, rep) // a JSON document has no single operations
		}
	}
	in.Distributions = distributions(reps)
	in.Waterfalls = bootStages(reps)
	if dir == "" {
		return in, nil
	}
	calls, err := sessionWaterfalls(ctx, dir, reps)
	if err != nil {
		in.Notes = append(in.Notes, fmt.Sprintf("%s was not used: %v", sessionName, err))
	}
	in.Waterfalls = append(in.Waterfalls, calls...)
	return in, nil
}

// fewestSingles is from how many single operations on a distribution is drawn.
const fewestSingles = 20

// distributions are those of every operation with enough single ones.
func distributions(reps []*convert.Report) []report.Distribution {
	var order []string
	byOp := make(map[string]*report.Distribution)
	for _, rep := range reps {
		for _, res := range rep.Ops {
			if res.Pkg != "" || !res.Known {
				continue
			}
			for _, s := range res.Samples {
				d := byOp[res.Op.ID]
				if d == nil {
					d = &report.Distribution{Op: res.Op.ID}
					byOp[res.Op.ID], order = d, append(order, res.Op.ID)
				}
				d.Cold = merge(d.Cold, s.Histogram, s.Values)
				d.Warm = merge(d.Warm, s.WarmHistogram, nil)
			}
		}
	}
	var out []report.Distribution
	for _, op := range order {
		if d := byOp[op]; d.Cold != nil && d.Cold.TotalCount() >= fewestSingles {
			out = append(out, *d)
		}
	}
	return out
}

// merge adds a round: its histogram, else its values. What is no histogram of
// ours is left out.
func merge(to *hdrhistogram.Histogram, text string, values []int64) *hdrhistogram.Histogram {
	if text == "" && len(values) > 0 {
		text = record.HistogramOf(values)
	}
	if text == "" {
		return to
	}
	h, err := record.ParseHistogram(text)
	if err != nil {
		return to
	}
	if to == nil {
		to = hdrhistogram.New(1, record.LongestNS, 3)
	}
	to.Merge(h)
	return to
}

// bootStages is one waterfall of all boots whose host saw their stages.
func bootStages(reps []*convert.Report) []report.Waterfall {
	w := report.Waterfall{Title: "Boot of the VM", Of: "boot"}
	for _, rep := range reps {
		if rep.Clock == nil || len(rep.Clock.Stages) == 0 {
			continue
		}
		var names []string
		var c report.Call
		for _, s := range rep.Clock.Stages {
			names, c.Parts = append(names, s.Name), append(c.Parts, time.Duration(s.TookNS))
		}
		if w.Parts == nil {
			w.Parts = names
		}
		if slices.Equal(w.Parts, names) {
			w.Calls = append(w.Calls, c)
		}
	}
	if len(w.Calls) == 0 {
		return nil
	}
	return []report.Waterfall{w}
}

// sessionWaterfalls are the snapshot calls and the requests of a run, as the
// session database in its directory has them.
func sessionWaterfalls(ctx context.Context, dir string, reps []*convert.Report) ([]report.Waterfall, error) {
	path := filepath.Join(dir, sessionName)
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil, nil
	}
	db, err := session.Open(path)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	texts, _ := benchTexts(dir)
	split, err := db.Split(ctx, snapshotCalls(texts))
	if err != nil {
		return nil, err
	}
	var out []report.Waterfall
	for _, op := range split.Ops {
		w := report.Waterfall{Title: operationName(op.Op), Of: "call", Parts: []string{"process start", "handshake", "gateway", "transport"}}
		for _, c := range split.Calls {
			if c.Op == op.Op {
				w.Calls = append(w.Calls, report.Call{Parts: []time.Duration{c.Start, c.Handshake, c.Gateway, c.Transport}})
			}
		}
		out = append(out, w)
	}
	requests, err := requestWaterfalls(ctx, db, reps)
	return append(out, requests...), err
}

// operationName is the short name of an operation where the catalogue has it.
func operationName(name string) string {
	for _, op := range catalogue.Ops(catalogue.Settings{}) {
		if op.Name == name {
			return op.ID
		}
	}
	return name
}

// requestWaterfalls has the requests of the first round of each operation that
// makes requests, as the proxy saw them: what a request takes beyond its time
// there is the guest's, the transport's and its handshake's.
func requestWaterfalls(ctx context.Context, db *session.DB, reps []*convert.Report) ([]report.Waterfall, error) {
	const most = 200
	var out []report.Waterfall
	for _, rep := range reps[:min(len(reps), 1)] {
		for _, res := range slices.Concat(rep.Category(catalogue.HTTP), rep.Category(catalogue.Throughput)) {
			if len(res.Samples) == 0 || res.Samples[0].StartNS <= 0 {
				continue
			}
			s := res.Samples[0]
			offset, bound, _ := rep.Clock.At(s.StartNS)
			from := time.Unix(0, s.StartNS-offset)
			list, all, err := db.Requests(ctx, from.Add(-time.Duration(bound)), from.Add(time.Duration(s.ElapsedNS+bound)), most)
			if err != nil {
				return out, err
			}
			w := report.Waterfall{Title: fmt.Sprintf("%s: %s at the proxy, from the first", res.Op.ID, termtext.Plural(all, "request")), Of: "request", Parts: []string{"proxy and origin"}}
			for _, r := range list {
				w.Calls = append(w.Calls, report.Call{Begin: r.At.Sub(list[0].At), Parts: []time.Duration{r.Took}})
			}
			if ranked, ok := byRank(s.Values, list); ok && all == len(list) {
				ranked.Title = res.Op.ID + ": a request, fastest first"
				out = append(out, ranked)
			}
			out = append(out, w)
		}
	}
	return out, nil
}

// byRank has the times of requests in the guest and at the proxy beside each
// other: the fastest with the fastest, since neither says which request it was.
// The sum of each part is right all the same.
func byRank(guest []int64, proxy []session.Request) (report.Waterfall, bool) {
	w := report.Waterfall{Of: "request", Parts: []string{"guest, handshake and transport", "proxy and origin"}}
	if len(guest) == 0 || len(guest) != len(proxy) {
		return w, false
	}
	total := slices.Sorted(slices.Values(guest))
	took := make([]time.Duration, len(proxy))
	for i, r := range proxy {
		took[i] = r.Took
	}
	slices.Sort(took)
	for i, ns := range total {
		there := min(took[i], time.Duration(ns))
		w.Calls = append(w.Calls, report.Call{Parts: []time.Duration{time.Duration(ns) - there, there}})
	}
	return w, true
}
