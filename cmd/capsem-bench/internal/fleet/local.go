package fleet

import (
	"context"
	"strconv"
	"sync"
)

// Local measures shards on this machine, one after the other. It is an engine
// to try a trial of several machines without them.
type Local struct {
	// Run measures a shard.
	Run func(ctx context.Context, shard int) error

	mu      sync.Mutex
	states  map[int]State
	waiting []int
	busy    bool
	cancel  context.CancelFunc
	over    sync.WaitGroup
}

// Submit has shards measured after those that wait already.
func (l *Local) Submit(ctx context.Context, tasks []Task) (jobs []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.states == nil {
		l.states = make(map[int]State)
	}
	for _, t := range tasks {
		l.states[t.Shard] = Queued
		l.waiting = append(l.waiting, t.Shard)
		jobs = append(jobs, strconv.Itoa(t.Shard))
	}
	if !l.busy {
		ctx, l.cancel = context.WithCancel(ctx)
		l.busy = true
		l.over.Go(func() { l.work(ctx) })
	}
	return jobs, nil
}

// work measures what waits. What became of a shard is in the directory.
func (l *Local) work(ctx context.Context) {
	for {
		l.mu.Lock()
		if len(l.waiting) == 0 || ctx.Err() != nil {
			l.busy = false
			l.mu.Unlock()
			return
		}
		shard := l.waiting[0]
		l.waiting = l.waiting[1:]
		l.states[shard] = Running
		l.mu.Unlock()
		_ = l.Run(ctx, shard) // a shard that failed says so in the directory
		l.mu.Lock()
		l.states[shard] = Ended
		l.mu.Unlock()
	}
}

// Poll returns the states of the shards that were handed in here.
func (l *Local) Poll(context.Context) (map[int]Status, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[int]Status)
	for shard, s := range l.states {
		out[shard] = Status{State: s}
	}
	return out, nil
}

// Cancel ends the shard that is measured and forgets the others.
func (l *Local) Cancel(context.Context, []string) error {
	l.mu.Lock()
	if l.cancel != nil {
		l.cancel()
	}
	l.mu.Unlock()
	l.over.Wait()
	return nil
}
