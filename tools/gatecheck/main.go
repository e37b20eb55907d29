// Command gatecheck measures how often the gate is wrong. It drives the
// decision code of package compare over synthetic releases and over boots
// recorded on a real machine, and prints false alarms, power and boots beside
// other rules and the targets. It exits 1 when the gate misses a target, and
// 2 for usage or a recording that it cannot read.
//
// A recording of one's own machine is tried with
//
//	go run ./tools/gatecheck -recording boots.jsonl
//
// whose format is that of gatesim.Recording.
package main

import (
	"bytes"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/aclements/go-moremath/stats"
	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/tools/internal/gatesim"
)

// recorded is 400 boots of one build in process sandboxes on a shared host,
// 34 metrics of 10 rounds, in the order of time.
//
//go:embed testdata/boots.jsonl.gz
var recorded []byte

type options struct {
	releases, slowed, parts, splits, found, fleets int
	seed                                           uint64
	recording                                      string
}

func main() {
	// The normal approximation is exact enough for 50 values a side, and a
	// hundred times as fast.
	stats.MannWhitneyExactLimit = 0
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	f := flag.NewFlagSet("gatecheck", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.releases, "releases", 2000, "unchanged releases per scenario and rule; 0: no simulation")
	f.IntVar(&o.slowed, "slowed", 2000, "slowed releases per size and class; 0: none")
	f.IntVar(&o.parts, "parts", 2000, "releases with a part of the suite changed, per part and factor; 0: none")
	f.IntVar(&o.found, "found", 600, "slowed releases per spread and size for the printed sensitivity; 0: none")
	f.IntVar(&o.fleets, "fleets", 200, "slowed releases on five machines per size and class, and a quarter of the unchanged ones; 0: none")
	f.IntVar(&o.splits, "splits", 2000, "splits of recorded boots per rule and order; 0: no replay")
	f.Uint64Var(&o.seed, "seed", 20260327, "seed of everything random")
	f.StringVar(&o.recording, "recording", "", "replay the boots in `FILE` (JSON lines, plain or gzip) and simulate nothing")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if f.NArg() > 0 || min(o.releases, o.slowed, o.parts, o.splits, o.found, o.fleets) < 0 {
		fmt.Fprintln(stderr, "gatecheck: want no arguments and no negative counts; see -help")
		return 2
	}
	rec, err := openRecording(o.recording)
	if err != nil {
		fmt.Fprintln(stderr, "gatecheck:", err)
		return 2
	}
	for _, note := range rec.Notes {
		fmt.Fprintln(stderr, "gatecheck:", note)
	}
	if o.recording != "" {
		o.releases, o.slowed, o.parts, o.found, o.fleets = 0, 0, 0, 0, 0
	}
	failures := check(stdout, o, rec)
	for _, f := range failures {
		fmt.Fprintln(stderr, "gatecheck:", f)
	}
	if len(failures) > 0 {
		return 1
	}
	return 0
}

func openRecording(file string) (*gatesim.Recording, error) {
	need := longest()
	if file == "" {
		return gatesim.ReadRecording(bytes.NewReader(recorded), "boots.jsonl.gz", need)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return gatesim.ReadRecording(f, file, need)
}

// longest is how many boots the longest measurement takes, both sides.
func longest() int {
	return 2 * compare.DefaultPlan().Last()
}

// A rule is one way to judge a release.
type rule struct {
	name  string
	gate  func() gatesim.Gate // a new one: gates are not safe for concurrent use
	boots int                 // at most, both sides
	judge bool                // held to the targets
}

func rules() []rule {
	return []rule{
		{"ratio 1.20 and band, 5 a side", func() gatesim.Gate { return gatesim.Ratio(5) }, 10, false},
		{"benchstat worse, 5 a side", func() gatesim.Gate { return gatesim.Benchstat(5) }, 10, false},
		{"ranks and Holm, 6/10/16", func() gatesim.Gate { return gatesim.Ranks(compare.NewRanker()) }, 32, false},
		{"this gate, " + looks(), product, longest(), true},
	}
}

// product is the gate as it ships.
func product() gatesim.Gate { return gatesim.Product(compare.DefaultPlan(), compare.NewRanker()) }

// oneLook is the gate with all boots of the last look in one stage.
func oneLook() gatesim.Gate {
	plan, err := compare.PlanOf([]int{compare.DefaultPlan().Last()})
	if err != nil {
		panic(err) // the default plan has a last look
	}
	return gatesim.Product(plan, compare.NewRanker())
}

// looks are those of the default plan: "6/10/16".
func looks() string {
	var out []string
	for _, k := range compare.DefaultPlan().Looks {
		out = append(out, strconv.Itoa(k))
	}
	return strings.Join(out, "/")
}

// A job is one cell of a table.
type job struct {
	n      int
	seed   uint64
	draw   func(*rand.Rand) *gatesim.Release
	gate   func() gatesim.Gate
	change gatesim.Change // nil: nothing
	out    gatesim.Outcome
}

// do runs jobs on all processors. What a job gives depends on its seed only.
func do(jobs []*job) {
	next := make(chan *job)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for j := range next {
				change := j.change
				if change == nil {
					change = gatesim.Nothing
				}
				j.out = gatesim.Judge(j.n, j.seed, j.draw, j.gate(), change)
			}
		})
	}
	for _, j := range jobs {
		next <- j
	}
	close(next)
	wg.Wait()
}

func check(w io.Writer, o options, rec *gatesim.Recording) (failures []string) {
	if o.releases > 0 {
		failures = append(failures, falseAlarms(w, o)...)
	}
	if o.slowed > 0 {
		failures = append(failures, slowdowns(w, o)...)
	}
	if o.parts > 0 {
		failures = append(failures, parts(w, o)...)
	}
	if o.found > 0 {
		failures = append(failures, sensitivity(w, o)...)
	}
	if o.releases > 0 && o.slowed > 0 {
		failures = append(failures, few(w, o, rec)...)
	}
	if o.fleets > 0 {
		failures = append(failures, fleet(w, o)...)
	}
	if o.splits > 0 {
		failures = append(failures, replay(w, o, rec)...)
	}
	return failures
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

func interval(r gatesim.Rate) string {
	return fmt.Sprintf("%.2f %% (%.2f-%.2f)", 100*r.Share(), 100*r.Lo, 100*r.Hi)
}
