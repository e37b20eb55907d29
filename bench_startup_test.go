package capsembench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/record"
)

// BenchmarkStartup measures cold starts of the commands that agents begin
// with: fork to exit of "NAME --version", caches dropped before each.
func BenchmarkStartup(b *testing.B) {
	suite := guest.Begin(b, record.Category{Category: string(catalogue.Startup), RunsPerCommand: catalogue.StartupRuns})
	for _, op := range catalogue.Select(catalogue.Ops(catalogue.Settings{}), catalogue.Startup) {
		suite.Op(op, coldStarts(op.Key("cli")))
	}
}

func coldStarts(cli string) guest.Pass {
	argv := []string{cli, "--version"}
	return func(ctx context.Context) (s record.Samples, st record.Status, err error) {
		s.Command, st.Command = argv, argv
		files, ok := guest.ProgramFiles(cli)
		if !ok {
			return s, st, guest.SkipError(cli + " is not in PATH")
		}
		var rss int64
		var user, sys time.Duration
		for range catalogue.StartupRuns {
			st = colder(st, guest.Drop(files))
			res, err := guest.Exec(ctx, guest.CLITimeout(), "", argv...)
			if err != nil {
				s.Failed++
				return s, st, fmt.Errorf("%s --version: %w", cli, err)
			}
			if s.StartNS == 0 {
				s.StartNS = res.Start.UnixNano()
			}
			s.Count++
			s.ElapsedNS += int64(res.Elapsed)
			s.Values = append(s.Values, int64(res.Elapsed))
			user, sys, rss = user+res.User, sys+res.Sys, max(rss, res.MaxRSS)
		}
		n := float64(s.Count)
		s.Latency = guest.Summarize(append([]int64(nil), s.Values...))
		s.Metrics = map[string]float64{
			"ns/op": float64(s.ElapsedNS) / n, "min-ns": s.Latency.Min, "max-ns": s.Latency.Max,
			"user-ns": float64(user) / n, "sys-ns": float64(sys) / n, "maxrss-B": float64(rss),
		}
		return s, st, nil
	}
}

// colder keeps the least cold of several starts.
func colder(old, new record.Status) record.Status {
	if old.Cache != "" && old.Cache != record.CacheCold {
		return old
	}
	new.Command = old.Command
	return new
}
