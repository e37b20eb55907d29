package capsembench

import (
	"context"
	"fmt"
	"slices"
	"testing"

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

// coldStarts runs one command three times. The first that goes wrong ends
// the pass.
func coldStarts(cli string) guest.Pass {
	argv := []string{cli, "--version"}
	return func(ctx context.Context) (s record.Samples, st record.Status, err error) {
		s.Command, st.Command = argv, argv
		program, ok := guest.FindProgram(cli)
		if !ok {
			return s, st, guest.SkipError(cli + " is not in PATH")
		}
		var total guest.Result
		for range catalogue.StartupRuns {
			drop := guest.DropProgram(program)
			guest.Slim()
			res, err := guest.Exec(ctx, guest.CLITimeout(), "", argv...)
			if err != nil {
				s.Failed++
				return s, st, fmt.Errorf("%s --version: %w", cli, err)
			}
			if s.Count == 0 {
				s.StartNS = res.Start.UnixNano()
			}
			s.Count++
			s.Values = append(s.Values, int64(res.Elapsed))
			s.ElapsedNS += int64(res.Elapsed)
			total.User, total.Sys, total.MaxRSS = total.User+res.User, total.Sys+res.Sys, max(total.MaxRSS, res.MaxRSS)
			st = colder(st, drop)
		}
		if total.MaxRSS <= guest.PeakRSS() {
			st.Doubts = append(st.Doubts, "RSS is an upper limit: Linux cannot tell so small a program from the one that started it")
		}
		s.Latency = guest.Summarize(slices.Clone(s.Values))
		n := float64(s.Count)
		s.Metrics = map[string]float64{
			"ns/op": float64(s.ElapsedNS) / n, "min-ns": s.Latency.Min, "max-ns": s.Latency.Max,
			"user-ns": float64(total.User) / n, "sys-ns": float64(total.Sys) / n, "maxrss-B": float64(total.MaxRSS),
		}
		return s, st, nil
	}
}

// colder keeps the least cold of several starts, and the command.
func colder(old, next record.Status) record.Status {
	if old.Cache != "" && old.Cache != record.CacheCold {
		return old
	}
	if next.Command = old.Command; old.Host == record.HostKept {
		next.Host, next.Doubts = old.Host, old.Doubts
	}
	return next
}
