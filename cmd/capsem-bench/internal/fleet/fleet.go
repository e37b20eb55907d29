// Package fleet has the shards of a trial measured by machines that something
// else manages: this one, or those of a scheduler. What an engine is asked for
// is small, because the trial's directory says what is there and what failed:
// a follower that is lost costs nothing, and another one goes on from the
// directory. A shard that was lost is handed in again for another machine, a
// bounded number of times.
package fleet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"golang.org/x/sys/unix"
)

// MaxAttempts is how often one shard is handed in. A shard may lose a machine, and
// the next one, without ending the trial; what fails a third time is no accident.
const MaxAttempts = 3

// A Task is one shard to measure.
type Task struct {
	Shard int
	Avoid []string // machines that lost it or were not fit for it
}

// A State is how a shard that was handed in stands. One that is no longer
// known has none.
type State string

const (
	Queued  State = "queued"
	Running State = "running"
	Ended   State = "ended" // well or not: the directory says which
)

// A Status is what an engine knows of a shard.
type Status struct {
	State   State
	Machine string // that measures it, or did; "" unknown
}

// An Engine has shards measured. Implementations keep no state that matters:
// the jobs of a directory are known to whoever asks.
type Engine interface {
	// Submit hands in shards and returns a name for each job, which Cancel takes.
	Submit(ctx context.Context, tasks []Task) ([]string, error)
	// Poll returns what is known of the shards of this directory, whichever
	// process handed them in.
	Poll(ctx context.Context) (map[int]Status, error)
	// Cancel takes jobs back and returns when they will not go on.
	Cancel(ctx context.Context, jobs []string) error
}

// Counts are how the shards of a look stand.
type Counts struct {
	Look, Queued, Running, Done, Lost, All int
}

// A Follower has the shards of a trial measured, look by look.
type Follower struct {
	Dir    string
	Engine Engine
	Every  time.Duration // between two polls
	Notify func(Counts)  // if not nil, after every poll

	jobs     []string       // that this process handed in
	tried    map[int]int    // shard -> how often it did
	machines map[int]string // shard -> the last that measured it
	lost     int
	silent   int // polls in a row that failed
}

// A LostError says that a shard was lost as often as it may be.
type LostError struct {
	Shard int
	Last  *ab.ShardReport // of the last attempt that said why; nil where none did
}

func (e *LostError) Error() string {
	text := fmt.Sprintf("shard %d was lost %d times", e.Shard, MaxAttempts)
	if e.Last != nil {
		text += fmt.Sprintf("; the last, on %s: %s", e.Last.Machine, e.Last.Error)
	}
	return text
}

// Crashed reports whether the boots of the new build crash, on two machines at
// least: what happens on one may be that machine's fault.
func Crashed(reports []*ab.ShardReport) bool {
	var on []string
	for _, r := range reports {
		if r.Status == statusFailed && !slices.Contains(on, r.Machine) {
			on = append(on, r.Machine)
		}
	}
	return len(on) > 1
}

// statusFailed is the exit status of a shard whose new build crashes.
const statusFailed = 1

// silence is how many polls in a row may fail: a controller that restarts is
// back within a minute.
const silence = 60

// Measure returns when all shards are whole in the directory. When ctx ends,
// Stop cancels what this process handed in.
func (f *Follower) Measure(ctx context.Context, look int, shards []int) error {
	tick := time.NewTicker(f.Every)
	defer tick.Stop()
	for {
		missing, err := f.step(ctx, look, shards)
		if err != nil || missing == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Stop cancels what this process handed in.
func (f *Follower) Stop(ctx context.Context) error {
	if len(f.jobs) == 0 {
		return nil
	}
	return f.Engine.Cancel(ctx, f.jobs)
}

// step looks at the shards once and hands in those that nobody measures. It
// returns how many are missing.
func (f *Follower) step(ctx context.Context, look int, shards []int) (missing int, err error) {
	unlock, err := lock(f.Dir)
	if err != nil {
		return len(shards), err
	}
	defer unlock()
	known, err := f.Engine.Poll(ctx)
	if err != nil {
		if f.silent++; ctx.Err() != nil || f.silent > silence {
			return len(shards), err
		}
		return len(shards), nil
	}
	f.silent = 0
	c := Counts{Look: look, All: len(shards)}
	var again []Task
	for _, shard := range shards {
		s := known[shard]
		f.remember(shard, s.Machine)
		switch {
		case ab.Have(f.Dir, shard):
			c.Done++
			continue
		case s.State == Queued:
			c.Queued++
			continue
		case s.State == Running:
			c.Running++
			continue
		}
		task, err := f.retry(shard)
		if err != nil {
			return len(shards), err
		}
		again = append(again, task)
		c.Queued++
	}
	c.Lost = f.lost
	if len(again) > 0 {
		if err := f.submit(ctx, again); err != nil {
			return len(shards), err
		}
	}
	if f.Notify != nil {
		f.Notify(c)
	}
	return c.All - c.Done, nil
}

func (f *Follower) remember(shard int, machine string) {
	if f.machines == nil {
		f.machines, f.tried = make(map[int]string), make(map[int]int)
	}
	if machine != "" {
		f.machines[shard] = machine
	}
}

// retry is the task of a shard that nobody measures: on another machine than
// those that lost it.
func (f *Follower) retry(shard int) (Task, error) {
	t := Task{Shard: shard}
	failures, err := ab.Failures(f.Dir)
	if err != nil {
		return t, err
	}
	failures = slices.DeleteFunc(failures, func(r *ab.ShardReport) bool { return r.Shard != shard })
	e := &LostError{Shard: shard}
	if n := len(failures); n > 0 {
		e.Last = failures[n-1]
	}
	if f.tried[shard] >= MaxAttempts || Crashed(failures) {
		return t, e
	}
	if f.tried[shard] > 0 {
		f.lost++
	}
	for _, r := range failures {
		t.avoid(r.Machine)
	}
	t.avoid(f.machines[shard])
	return t, nil
}

func (t *Task) avoid(machine string) {
	if machine != "" && !slices.Contains(t.Avoid, machine) {
		t.Avoid = append(t.Avoid, machine)
		slices.Sort(t.Avoid)
	}
}

func (f *Follower) submit(ctx context.Context, tasks []Task) error {
	jobs, err := f.Engine.Submit(ctx, tasks)
	f.jobs = append(f.jobs, jobs...)
	for _, t := range tasks {
		f.tried[t.Shard]++
	}
	return err
}

// lock keeps two followers of one directory from handing in a shard twice. It
// waits: the other one holds it for a poll.
func lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, ".follow"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
