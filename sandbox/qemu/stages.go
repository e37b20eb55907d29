package qemu

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capsem/capsem-bench/internal/vmconfig"
)

// A StageTime is one step on the way to a running guest.
type StageTime struct {
	Name string
	Took time.Duration // since the step before it, host's clock
	// Guest is the guest's own time since its kernel started; 0 on the host.
	Guest time.Duration
}

// bootStages are the steps of a boot in order. Devices are the processes that
// QEMU connects to, ssh the login; those in between are the guest's.
func bootStages() []string {
	return []string{
		"devices", "qemu", string(vmconfig.StageKernel), string(vmconfig.StageModules), string(vmconfig.StageRootfs),
		string(vmconfig.StageHome), string(vmconfig.StageServices), "ssh",
	}
}

// Underway is what a boot does once a step of it is over, "" when the guest is
// up. It reports false for a step that is none of the boot's.
func Underway(over string) (next string, ok bool) {
	stages := append(bootStages(), "")
	i := slices.Index(stages, over)
	if i < 0 || over == "" {
		return stages[0], over == ""
	}
	return stages[i+1], true
}

// Stages are the steps of one machine, in order.
type Stages struct {
	mu   sync.Mutex
	last time.Time
	list []StageTime
	hook func(StageTime)
}

func newStages(hook func(StageTime)) *Stages { return &Stages{last: time.Now(), hook: hook} }

// Mark notes that a step is over.
func (s *Stages) Mark(name string) { s.mark(name, 0) }

func (s *Stages) mark(name string, guest time.Duration) {
	s.mu.Lock()
	now := time.Now()
	t := StageTime{Name: name, Took: now.Sub(s.last), Guest: guest}
	s.last = now
	s.list = append(s.list, t)
	s.mu.Unlock()
	if s.hook != nil {
		s.hook(t)
	}
}

// List returns the steps so far.
func (s *Stages) List() []StageTime {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]StageTime(nil), s.list...)
}

// Write prints the steps as a table: what each took, the sum, and the time
// inside the guest.
func (s *Stages) Write(w io.Writer) {
	var sum time.Duration
	fmt.Fprintf(w, "%-12s %9s %9s %9s\n", "stage", "took", "total", "in guest")
	for _, t := range s.List() {
		sum += t.Took
		guest := ""
		if t.Guest > 0 {
			guest = seconds(t.Guest)
		}
		fmt.Fprintf(w, "%-12s %9s %9s %9s\n", t.Name, seconds(t.Took), seconds(sum), guest)
	}
}

// ReadStages reads the table that Write writes: names and what they took.
func ReadStages(text string) ([]StageTime, error) {
	_, table, ok := strings.Cut(text, "stage ")
	if !ok {
		return nil, errors.New("no table of stages")
	}
	_, table, _ = strings.Cut(table, "\n")
	var out []StageTime
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 3 || f[2] != "s" {
			return nil, fmt.Errorf("no line of a table of stages: %q", line)
		}
		took, err := time.ParseDuration(f[1] + "s")
		if err != nil {
			return nil, fmt.Errorf("no line of a table of stages: %q: %w", line, err)
		}
		out = append(out, StageTime{Name: f[0], Took: took})
	}
	return out, nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }

// lastStage is the stage by which a guest is usable.
const lastStage = vmconfig.StageServices
