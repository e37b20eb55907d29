package capsembench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/guest/procstart"
	"github.com/capsem/capsem-bench/internal/record"
)

// BenchmarkStartup measures cold starts of the commands that agents begin
// with: fork to exit of "NAME --version", caches dropped before each.
func BenchmarkStartup(b *testing.B) {
	settings, err := guest.Settings()
	suite := guest.Begin(b, record.Category{Category: string(catalogue.Startup), RunsPerCommand: catalogue.StartupRuns})
	for _, cli := range settings.Commands() {
		suite.Op(catalogue.StartupOp(cli.Name), func(p *guest.Pass) error {
			if err != nil {
				return err
			}
			return coldStarts(p, cli.Argv)
		})
	}
}

// coldStarts runs one command three times. The first failure ends the pass.
func coldStarts(p *guest.Pass, argv []string) error {
	p.Command(argv)
	program, ok := procstart.FindProgram(argv[0])
	if !ok {
		return guest.SkipError(argv[0] + " is not in PATH")
	}
	cold := p.Cold
	if program.Wrapper {
		cold = p.ColdPart
	}
	var user, sys time.Duration
	var maxRSS int64
	for range catalogue.StartupRuns {
		cmd, err := procstart.New(p.Context(), guest.CLITimeout(), "", argv...)
		if err != nil {
			return err
		}
		cold(program.Files...)
		procstart.Slim()
		_ = p.Time(cmd.Run) // measured; Close has its error
		res, err := cmd.Close()
		if err = p.Verify(err); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
		}
		user, sys, maxRSS = user+res.User, sys+res.Sys, max(maxRSS, res.MaxRSS)
	}
	if maxRSS <= procstart.PeakRSS() {
		p.Doubt("RSS is an upper limit: Linux cannot tell so small a program from the one that started it")
	}
	n, l := float64(p.Count()), p.Latency()
	p.Report("ns/op", float64(p.Elapsed())/n)
	p.Report("min-ns", l.Min)
	p.Report("max-ns", l.Max)
	p.Report("user-ns", float64(user)/n)
	p.Report("sys-ns", float64(sys)/n)
	p.Report("maxrss-B", float64(maxRSS))
	return nil
}
