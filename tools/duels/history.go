package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/capsem/capsem-bench/history"
	"github.com/capsem/capsem-bench/internal/chromium"
	"github.com/capsem/capsem-bench/tools/internal/reference"
	"github.com/chromedp/chromedp"
)

// history are a history of 100 and of 10,000 runs with 60 ops of two metrics
// and ten rounds, 12 million values, and the page of one of 20 releases. What
// takes minutes to make is made when a line first needs it.
func (p *plan) history(context.Context) error {
	for _, n := range []int{100, 10_000} {
		store := sync.OnceValues(func() (*history.Store, error) { return p.store(fmt.Sprint("runs", n), n, 1) })
		what := fmt.Sprintf("a history of %d runs, ", n)
		p.add(
			line{what: what + "add one", unit: "ms", target: target{atMost, 50}, ours: func(ctx context.Context) (float64, error) {
				s, err := store()
				if err != nil {
					return 0, err
				}
				var run history.Run
				next := n
				return milliseconds(20, func() (err error) {
					run, err = makeRun(next, 1)
					next++
					return err
				}, func() error {
					_, _, err := s.Add(ctx, run)
					return err
				})
			}},
			line{what: what + "list", unit: "ms", target: target{kind: noted}, ours: func(ctx context.Context) (float64, error) {
				s, err := store()
				if err != nil {
					return 0, err
				}
				return milliseconds(5, nil, func() error {
					runs, err := s.Runs(ctx, history.Filter{})
					if err == nil && len(runs) < n {
						err = fmt.Errorf("%d runs", len(runs))
					}
					return err
				})
			}},
			line{what: what + "trend of one op", unit: "ms", target: target{atMost, 200}, ours: func(ctx context.Context) (float64, error) {
				s, err := store()
				if err != nil {
					return 0, err
				}
				q := history.Query{Ops: []string{boottest.ManyOps(8)[7].ID}, Detector: history.DefaultDetector()}
				return milliseconds(5, nil, func() error {
					trends, err := s.Trends(ctx, q)
					if err == nil && (len(trends) != 1 || len(trends[0].Lines[0].Points) < n) {
						err = fmt.Errorf("%d trends", len(trends))
					}
					return err
				})
			}})
	}
	return p.page()
}

// milliseconds is the median time of several calls of f, before each of which
// prepare is called.
func milliseconds(times int, prepare, f func() error) (float64, error) {
	var took []float64
	for range times {
		if prepare != nil {
			if err := prepare(); err != nil {
				return 0, err
			}
		}
		began := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(began))/1e6)
	}
	return reference.Median(took), nil
}

// store makes a history of n runs. It is closed with the plan.
func (p *plan) store(name string, n, boots int) (*history.Store, error) {
	ctx := context.Background() // of all its lines
	s, err := history.Open(ctx, p.w.Path(name+".db"))
	if err != nil {
		return nil, err
	}
	p.stores = append(p.stores, s)
	for i := range n {
		run, err := makeRun(i, boots)
		if err != nil {
			return nil, err
		}
		if _, _, err := s.Add(ctx, run); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// makeRun makes the i-th run.
func makeRun(i, boots int) (history.Run, error) {
	m := boottest.New(uint64(i))
	m.Ops, m.Rounds = boottest.ManyOps(60), 10
	for i := range m.Ops {
		m.Ops[i].Units = []string{"ns/op", "B/s"}
	}
	var docs []history.Document
	for j := range boots {
		b := m.Next(boottest.Cand, 1)
		b.Mark, b.Run.Time = nil, 1.7e9+3600*float64(i)
		docs = append(docs, history.Document{Name: fmt.Sprint("boot", j), Data: b.Text()})
	}
	return history.Read(fmt.Sprint("run", i), history.Labels{"release": fmt.Sprint("1.", i)}, docs)
}

// page is that of 20 releases: how long it takes to make, how large it is, how
// long a browser takes to show it.
func (p *plan) page() error {
	file := p.w.Path("page.html")
	db := sync.OnceValue(func() error {
		_, err := p.store("page", 20, 3)
		return err
	})
	report := func(ctx context.Context) (float64, error) {
		if err := db(); err != nil {
			return 0, err
		}
		return reference.Elapsed(ctx, p.command, "report", "--store", p.w.Path("page.db"), "-o", file)
	}
	what := "page of 20 releases with 60 ops, "
	p.add(
		line{what: what + "made", unit: "s", target: target{atMost, 1}, ours: report},
		line{what: what + "size", unit: "MB", target: target{atMost, 2}, ours: func(ctx context.Context) (float64, error) {
			if _, err := report(ctx); err != nil {
				return 0, err
			}
			info, err := os.Stat(file)
			if err != nil {
				return 0, err
			}
			return float64(info.Size()) / 1e6, nil
		}},
		line{what: what + "opened by Chromium", unit: "s", target: target{atMost, 1}, ours: func(ctx context.Context) (float64, error) {
			if _, err := report(ctx); err != nil {
				return 0, err
			}
			return opened(ctx, file)
		}})
	return nil
}

// opened is how many seconds a browser takes from asking for a file to having
// shown all of it.
func opened(ctx context.Context, file string) (seconds float64, err error) {
	b, err := chromium.Start(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	tab, end := b.Tab(ctx)
	defer end()
	u := url.URL{Scheme: "file", Path: file}
	var ms float64
	err = chromedp.Run(tab, chromedp.Navigate(u.String()), chromedp.WaitReady("main"),
		chromedp.Poll("performance.getEntriesByType('navigation')[0].loadEventEnd", &ms))
	return ms / 1e3, err
}
