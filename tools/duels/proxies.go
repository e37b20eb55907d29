package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/tools/internal/reference"
)

// proxyLevels are the numbers of connections at which proxies are compared.
var proxyLevels = []int{1, 10, 50, 200}

// proxies are the proxy of the stand-in host beside others that intercept TLS,
// beside a server that only ends it, and beside no proxy: one origin, and the
// load of the guest binary for all. Ours has a session database, and every
// request has to be a row of it.
func (p *plan) proxies(ctx context.Context) error {
	if err := reference.Install(ctx, p.log, map[string]string{"mitmdump": "mitmproxy", "squid": "squid-openssl"}); err != nil {
		return err
	}
	hidden, err := p.w.Hidden(ctx)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, hidden.Close)
	const seconds, runs = 2, 3
	for _, rival := range []struct {
		tool   string
		start  func(context.Context) (*reference.Path, error)
		target target
	}{
		{"mitmproxy", hidden.Mitmproxy, target{timesAtLeast, 1}},
		{"squid ssl-bump", hidden.Squid, target{timesAtLeast, 1}},
		{"nginx", hidden.Nginx, target{timesAtLeast, 0.5}},
		{"no proxy", hidden.Straight, target{kind: noted}},
	} {
		path := sync.OnceValues(func() (*reference.Path, error) {
			path, err := rival.start(ctx)
			if err == nil {
				p.closers = append(p.closers, path.Close)
			}
			return path, err
		})
		for _, c := range proxyLevels {
			p.add(line{
				what: fmt.Sprintf("proxy c=%d, every request a row", c), unit: "req/s", tool: rival.tool, runs: runs, target: rival.target,
				ours: func(ctx context.Context) (float64, error) {
					s, err := p.served(ctx, hidden, c, seconds)
					return s.rate, err
				},
				theirs: func(ctx context.Context) (float64, error) {
					path, err := path()
					if err != nil {
						return 0, err
					}
					return path.Rate(p.guest, c, seconds)(ctx)
				},
			})
		}
	}
	p.add(line{
		what: "session rows, none lost, until the last is on disk", unit: "rows/s", target: target{kind: noted},
		ours: func(ctx context.Context) (float64, error) {
			s, err := p.served(ctx, hidden, 200, 5)
			return s.rows, err
		},
	})
	return p.gateway(ctx, hidden)
}

// A service is what the stand-in's services did: requests a second that clients
// saw answered, and rows a second that were written of them.
type service struct{ rate, rows float64 }

// probes is what the guest binary asks before it measures: one request.
const probes = 1

// served measures our proxy with a new database. Fewer or more rows than
// requests are an error.
func (p *plan) served(ctx context.Context, hidden *reference.Hidden, connections, seconds int) (service, error) {
	s, err := hidden.Serve(ctx, p.command)
	if err != nil {
		return service{}, err
	}
	begin := time.Now()
	r, err := s.Path.Load(ctx, p.guest, connections, seconds)
	rows, ended := s.End(ctx)
	took := time.Since(begin).Seconds()
	if err := errors.Join(err, ended); err != nil {
		return service{}, err
	}
	if got := r.Samples[0].Count + probes + int64(connections); rows.Requests != got { // each is opened with a request
		return service{}, fmt.Errorf("%d requests are %d rows", got, rows.Requests)
	}
	return service{r.Samples[0].Metrics["req/s"], float64(rows.Requests) / took}, nil
}

// gateway are calls of the echo tool over one relay, each of which has to be a
// row too.
func (p *plan) gateway(ctx context.Context, hidden *reference.Hidden) error {
	program, err := p.w.Command(ctx, "./cmd/capsem-guest")
	if err != nil {
		return err
	}
	relay := p.w.Path(contract.Relay) // it acts by its name
	if err := os.Symlink(program, relay); err != nil {
		return err
	}
	const seconds = 2
	for _, c := range proxyLevels {
		p.add(line{
			what: fmt.Sprintf("gateway calls, c=%d, every call a row", c), unit: "calls/s", target: target{kind: noted},
			ours: func(ctx context.Context) (float64, error) {
				s, err := hidden.Serve(ctx, p.command)
				if err != nil {
					return 0, err
				}
				r, err := p.guest.Run(ctx, []string{
					contract.EnvRelay + "=" + relay, contract.EnvGateway + "=" + s.Gateway,
					catalogue.EnvLoadConcurrency + "=" + strconv.Itoa(c), catalogue.EnvLoadSeconds + "=" + strconv.Itoa(seconds),
				}, "Load/^proto="+catalogue.LoadMCP+"$")
				rows, ended := s.End(ctx)
				if err := errors.Join(err, ended); err != nil {
					return 0, err
				}
				if got := r.Samples[0].Count + probes; rows.Calls != got {
					return 0, fmt.Errorf("%d calls are %d rows", got, rows.Calls)
				}
				return r.Samples[0].Metrics["req/s"], nil
			},
		})
	}
	return nil
}

// steady prepares the one figure that takes minutes: what the memory of the
// services does under load. The database stops at its budget by then, so rows
// are not counted here.
func (p *plan) steady(ctx context.Context) (err error) {
	if p.guest, err = p.w.Guest(ctx); err != nil {
		return err
	}
	if p.command, err = p.w.Command(ctx, "./cmd/capsem-bench"); err != nil {
		return err
	}
	const connections = 200
	hidden, err := p.w.Hidden(ctx)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, hidden.Close)
	p.add(line{
		what: fmt.Sprintf("resident memory after %d minutes at %d connections, to that after the first", p.minutes, connections), unit: "x",
		target: target{atMost, 1.25},
		ours: func(ctx context.Context) (float64, error) {
			s, err := hidden.Serve(ctx, p.command)
			if err != nil {
				return 0, err
			}
			defer func() { _, _ = s.End(ctx) }() // rows beyond the budget are its error
			var first, last int64
			for minute := 1; minute <= p.minutes; minute++ {
				r, err := s.Path.Load(ctx, p.guest, connections, 60)
				if err != nil {
					return 0, err
				}
				if last, err = s.Resident(); err != nil {
					return 0, err
				}
				if minute == 1 {
					first = last
				}
				fmt.Fprintf(p.log, "minute %d: %.0f req/s, %d MiB\n", minute, r.Samples[0].Metrics["req/s"], last>>20)
			}
			return float64(last) / float64(first), nil
		},
	})
	return nil
}
