package reference

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/capsem/capsem-bench/internal/record"
)

// Guest is the guest binary.
type Guest struct{ Binary string }

// A GuestRun is what one run of the guest binary said.
type GuestRun struct {
	Samples []record.Samples
	Status  []record.Status
	Exec    time.Time // just before the process was made
}

// Run runs the operations of a pattern with additions to the environment. An
// operation that did not end well is an error.
func (g Guest) Run(ctx context.Context, env []string, pattern string, args ...string) (r GuestRun, err error) {
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, g.Binary, append([]string{"-test.bench=" + pattern}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	r.Exec = time.Now()
	err = cmd.Run()
	for line := range bytes.Lines(out.Bytes()) {
		switch v, _ := record.Parse(bytes.TrimSpace(line)); v := v.(type) {
		case *record.Samples:
			r.Samples = append(r.Samples, *v)
		case *record.Status:
			r.Status = append(r.Status, *v)
			if v.Status != record.OK {
				return r, fmt.Errorf("%s is %s: %s", v.Op, v.Status, v.Reason)
			}
		}
	}
	if err != nil {
		return r, fmt.Errorf("guest binary: %w: %s", err, complaints.Bytes())
	}
	if len(r.Samples) == 0 {
		return r, fmt.Errorf("the guest binary measured nothing for %s", pattern)
	}
	return r, nil
}

// PeakMemory runs the operations of a pattern and returns the peak resident
// memory in bytes, see [Workshop.Peak].
func (g Guest) PeakMemory(ctx context.Context, w *Workshop, env []string, pattern string) (float64, error) {
	return w.Peak(ctx, env, g.Binary, "-test.bench="+pattern)
}

// Metric measures one operation by one of its units.
func (g Guest) Metric(pattern, unit string, env ...string) Measure {
	return func(ctx context.Context) (float64, error) {
		r, err := g.Run(ctx, env, pattern)
		if err != nil {
			return 0, err
		}
		return r.Samples[0].Metrics[unit], nil
	}
}

// Cold is Metric for an operation that must say that its cache was cold.
func (g Guest) Cold(pattern, unit string, env ...string) Measure {
	return func(ctx context.Context) (float64, error) {
		r, err := g.Run(ctx, env, pattern)
		if err != nil {
			return 0, err
		}
		if st := r.Status[0]; st.Cache != record.CacheCold {
			return 0, fmt.Errorf("%s was %s, %d of %d pages in the cache", st.Op, st.Cache, st.Resident, st.Pages)
		}
		return r.Samples[0].Metrics[unit], nil
	}
}

// KeepFile wraps a disk operation so that the file which it makes below dir
// and removes is kept under another name: fio then reads the same blocks.
func KeepFile(dir, keep string, m Measure) Measure {
	return func(ctx context.Context) (float64, error) {
		if err := os.RemoveAll(keep); err != nil {
			return 0, err
		}
		kept := make(chan error, 1)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() { kept <- linkData(ctx, dir, keep) }()
		v, err := m(ctx)
		cancel()
		return v, errors.Join(err, <-kept)
	}
}

// linkData waits for the guest binary's file and gives it a second name.
func linkData(ctx context.Context, dir, keep string) error {
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	for {
		names, err := filepath.Glob(filepath.Join(dir, ".capsem-bench-*", "data"))
		if err != nil {
			return err
		}
		if len(names) > 0 && os.Link(names[0], keep) == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no file of the guest binary was seen below %s", dir)
		case <-tick.C:
		}
	}
}
