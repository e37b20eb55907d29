package reference

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
)

// Hyperfine measures starts of a command, without a shell between.
type Hyperfine struct {
	Command string
	Runs    int
	Cold    bool // drop the caches before each
}

// A Starts is what hyperfine measured, in seconds.
type Starts struct {
	Mean, Min float64
	Times     []float64
}

// Hyperfine runs hyperfine with additions to the environment.
func (w *Workshop) Hyperfine(ctx context.Context, h Hyperfine, env ...string) (s Starts, err error) {
	report := w.Path("hyperfine.json")
	argv := []string{"hyperfine", "-N", "--style=none", "--warmup=0", "--runs=" + strconv.Itoa(h.Runs), "--export-json=" + report}
	if h.Cold {
		drop := w.Path("drop-caches")
		if err := os.WriteFile(drop, []byte("#!/bin/sh\nsync\necho 3 >/proc/sys/vm/drop_caches\n"), 0o700); err != nil {
			return s, err
		}
		argv = append(argv, "--prepare="+drop)
	}
	if _, err := run(ctx, env, append(argv, h.Command)...); err != nil {
		return s, err
	}
	text, err := os.ReadFile(report)
	if err != nil {
		return s, err
	}
	var all struct{ Results []Starts }
	if err := json.Unmarshal(text, &all); err != nil {
		return s, fmt.Errorf("reading hyperfine's report: %w", err)
	}
	if len(all.Results) != 1 || len(all.Results[0].Times) != h.Runs {
		return s, fmt.Errorf("hyperfine's report is not of one command and %d runs", h.Runs)
	}
	return all.Results[0], nil
}
