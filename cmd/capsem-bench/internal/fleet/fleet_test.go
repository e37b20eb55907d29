package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fake is an engine in which a shard goes on by one state a poll.
type fake struct {
	dir       string
	status    map[int]Status
	submitted [][]Task
	cancelled []string
	// end is called where a shard ends, on its attempt from 1.
	end     func(shard, attempt int, machine string)
	refused error // of Poll
	tries   map[int]int
}

func (f *fake) Submit(_ context.Context, tasks []Task) (jobs []string, err error) {
	f.submitted = append(f.submitted, tasks)
	for _, t := range tasks {
		f.status[t.Shard] = Status{State: Queued}
		jobs = append(jobs, fmt.Sprint("job", t.Shard))
	}
	return jobs, nil
}

func (f *fake) Poll(context.Context) (map[int]Status, error) {
	if f.refused != nil {
		return nil, f.refused
	}
	out := make(map[int]Status)
	for n, s := range f.status {
		out[n] = s
		switch s.State {
		case Queued:
			f.tries[n]++
			f.status[n] = Status{Running, fmt.Sprint("m", f.tries[n])}
		case Running:
			f.end(n, f.tries[n], s.Machine)
			f.status[n] = Status{Ended, s.Machine}
		}
	}
	return out, nil
}

func (f *fake) Cancel(_ context.Context, jobs []string) error { f.cancelled = jobs; return nil }

func newFake(t *testing.T) (*fake, *Follower) {
	f := &fake{dir: t.TempDir(), status: make(map[int]Status), tries: make(map[int]int)}
	f.end = func(shard, _ int, _ string) { whole(t, f.dir, shard) }
	return f, &Follower{Dir: f.dir, Engine: f, Every: time.Millisecond}
}

// whole makes a shard that is there.
func whole(t *testing.T, dir string, shard int) {
	to := filepath.Join(dir, ab.ShardsDir, strconv.Itoa(shard))
	require.NoError(t, os.MkdirAll(to, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(to, "shard.json"), []byte("{}"), 0o600))
}

// failed makes an attempt that failed.
func failed(t *testing.T, dir string, shard, attempt, status int, machine string) {
	to := filepath.Join(dir, ab.FailedDir, fmt.Sprintf("%d-%d", shard, attempt))
	require.NoError(t, os.MkdirAll(to, 0o755))
	text := fmt.Sprintf(`{"schema":"capsem-bench.shard/1","plan_sha256":"","shard":%d,"stage":1,"machine":%q,"os":"","arch":"","cpus":1,"began":1,"ended":%d,"status":%d,"error":"no room"}`, shard, machine, attempt, status)
	require.NoError(t, os.WriteFile(filepath.Join(to, "shard.json"), []byte(text), 0o600))
}

// Shards are handed in together and once; what is there already is not.
func TestMeasure(t *testing.T) {
	e, f := newFake(t)
	whole(t, e.dir, 2)
	var last Counts
	f.Notify = func(c Counts) { last = c }
	require.NoError(t, f.Measure(context.Background(), 1, []int{1, 2, 3}))
	assert.Equal(t, [][]Task{{{Shard: 1}, {Shard: 3}}}, e.submitted)
	assert.Equal(t, Counts{Look: 1, Done: 3, All: 3}, last)
	require.NoError(t, f.Stop(context.Background()))
	assert.Equal(t, []string{"job1", "job3"}, e.cancelled)
}

// A follower that comes later hands in nothing that is under way, and cancels
// nothing that another one handed in.
func TestAttach(t *testing.T) {
	e, f := newFake(t)
	e.status[1], e.status[2] = Status{State: Queued}, Status{Running, "m"}
	require.NoError(t, f.Measure(context.Background(), 1, []int{1, 2}))
	assert.Empty(t, e.submitted)
	require.NoError(t, f.Stop(context.Background()))
	assert.Empty(t, e.cancelled)
}

// A shard that a machine lost, was not fit for or had no room for is measured on
// another one.
func TestLostShardGoesElsewhere(t *testing.T) {
	e, f := newFake(t)
	e.end = func(shard, attempt int, machine string) {
		switch {
		case shard == 1 && attempt == 1: // the machine is gone, and said nothing
		case shard == 1 && attempt == 2:
			failed(t, e.dir, shard, attempt, 3, machine)
		default:
			whole(t, e.dir, shard)
		}
	}
	lost := 0
	f.Notify = func(c Counts) { lost = c.Lost }
	require.NoError(t, f.Measure(context.Background(), 1, []int{1, 2}))
	assert.Equal(t, [][]Task{{{Shard: 1}, {Shard: 2}}, {{1, []string{"m1"}}}, {{1, []string{"m2"}}}}, e.submitted)
	assert.Equal(t, 2, lost)
}

// Attempts are bounded, and the error says why the last one failed.
func TestLostForGood(t *testing.T) {
	e, f := newFake(t)
	e.end = func(shard, attempt int, machine string) { failed(t, e.dir, shard, attempt, 3, machine) }
	var lost *LostError
	require.ErrorAs(t, f.Measure(context.Background(), 1, []int{4}), &lost)
	assert.EqualError(t, lost, "shard 4 was lost 3 times; the last, on m3: no room")
	assert.Len(t, e.submitted, MaxAttempts)
}

// Crashes of the new build are its failure when another machine has them too.
func TestCrashed(t *testing.T) {
	e, f := newFake(t)
	e.end = func(shard, attempt int, machine string) { failed(t, e.dir, shard, attempt, 1, machine) }
	require.Error(t, f.Measure(context.Background(), 1, []int{1}))
	assert.Len(t, e.submitted, 2)
	failures, err := ab.Failures(e.dir)
	require.NoError(t, err)
	assert.True(t, Crashed(failures))
	assert.False(t, Crashed(failures[:1]))
}

// A scheduler that does not answer is asked again, for a while.
func TestSilence(t *testing.T) {
	e, f := newFake(t)
	e.refused = errors.New("no answer")
	polls := 0
	for ; ; polls++ {
		if _, err := f.step(context.Background(), 1, []int{1}); err != nil {
			require.ErrorIs(t, err, e.refused)
			break
		}
	}
	assert.Equal(t, silence, polls)
	e.refused = nil
	_, err := f.step(context.Background(), 1, []int{1})
	require.NoError(t, err)
}

func TestInterrupted(t *testing.T) {
	e, f := newFake(t)
	ctx, cancel := context.WithCancel(context.Background())
	f.Notify = func(Counts) { cancel() }
	require.ErrorIs(t, f.Measure(ctx, 1, []int{1}), context.Canceled)
	require.NoError(t, f.Stop(context.Background()))
	assert.Equal(t, []string{"job1"}, e.cancelled)
}

func TestLocal(t *testing.T) {
	dir := t.TempDir()
	var order []int
	l := &Local{Run: func(_ context.Context, shard int) error {
		order = append(order, shard)
		whole(t, dir, shard)
		return nil
	}}
	f := &Follower{Dir: dir, Engine: l, Every: time.Millisecond}
	require.NoError(t, f.Measure(context.Background(), 1, []int{1, 2}))
	require.NoError(t, f.Measure(context.Background(), 2, []int{3}))
	require.NoError(t, f.Stop(context.Background()))
	assert.Equal(t, []int{1, 2, 3}, order)
}

// Cancel ends the shard that is under way.
func TestLocalCancel(t *testing.T) {
	began := make(chan struct{})
	l := &Local{Run: func(ctx context.Context, _ int) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}}
	jobs, err := l.Submit(context.Background(), []Task{{Shard: 1}, {Shard: 2}})
	require.NoError(t, err)
	<-began
	require.NoError(t, l.Cancel(context.Background(), jobs))
	known, err := l.Poll(context.Background())
	require.NoError(t, err)
	assert.Equal(t, map[int]Status{1: {State: Ended}, 2: {State: Queued}}, known)
}

func TestParseQueue(t *testing.T) {
	known, err := parseQueue("4|1|COMPLETED|n1\n9|1|PENDING|\n4|2|RUNNING|n2\n4|3|NODE_FAIL|n3\n4|4|REQUEUED|(null)\n4|5|TIMEOUT|n1\n4|6|COMPLETING|n1\n")
	require.NoError(t, err)
	assert.Equal(t, map[int]Status{
		1: {State: Queued}, 2: {Running, "n2"}, 3: {Ended, "n3"}, 4: {State: Queued}, 5: {Ended, "n1"}, 6: {Running, "n1"},
	}, known)
	known, err = parseQueue("")
	require.NoError(t, err)
	assert.Empty(t, known)
	for _, bad := range []string{"x", "1|2|3", "a|1|RUNNING|n", "1|x|RUNNING|n"} {
		_, err := parseQueue(bad)
		assert.Error(t, err, bad)
	}
}

// What Slurm is asked for, by stand-ins that write down their arguments.
func TestSlurmCommands(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\n(echo \"${0##*/} $*\"; [ \"${0##*/}\" != sbatch ] || cat) >>\"$SAID\"\n" +
		"case \"${0##*/} $*\" in sbatch*--exclude=*n1*) echo 'Requested node configuration is not available' >&2; exit 1 ;; sbatch*) echo '7;cluster' ;; esac\n"
	for _, name := range []string{"sbatch", "squeue", "scancel"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700))
	}
	said := filepath.Join(dir, "said")
	t.Setenv("SAID", said)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	s := &Slurm{Dir: "/t", Script: "exec '/t/a b' shard", Name: "name", Partition: "p", Constraint: "c", Time: "5"}
	jobs, err := s.Submit(context.Background(), []Task{{Shard: 1}, {Shard: 2, Avoid: []string{"n1"}}, {Shard: 3}})
	require.NoError(t, err)
	assert.Equal(t, []string{"7", "7"}, jobs)
	_, err = s.Poll(context.Background())
	require.NoError(t, err)
	require.NoError(t, s.Cancel(context.Background(), jobs))
	text, err := os.ReadFile(said)
	require.NoError(t, err)
	const options = "sbatch --parsable --job-name=name --array=%s --nodes=1 --ntasks=1 --exclusive --requeue --open-mode=append --chdir=/t --output=/t/jobs/%%A_%%a.txt --partition=p --constraint=c --time=5%s\n"
	const job = "#!/bin/sh\nexec '/t/a b' shard \"$SLURM_ARRAY_TASK_ID\"\n"
	assert.Equal(t, fmt.Sprintf(options, "1,3", "")+job+fmt.Sprintf(options, "2", " --exclude=n1")+job+fmt.Sprintf(options, "2", "")+job+
		"squeue --noheader --array --states=all --name=name --format=%F|%K|%T|%N\nscancel --quiet 7 7\n", string(text))
}
