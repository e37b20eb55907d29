package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	replays       = flag.Int("replays", 1, "replay so many trials of an unchanged build, and a third as many of each change; of 1, one of a slower op only")
	replayedBoots = flag.String("recording", "", "replay the boots of `FILE`, JSON lines, instead of those of a model")
	replaySeed    = flag.Uint64("replay-seed", 1, "of the replays")
)

// A change is what a new build does to the times of ops, as factors by name.
type change struct {
	name    string
	factors func(*rand.Rand, []catalogue.Op) map[string]float64
	status  int // of a trial that sees it
	// least is the share of trials that have to end so where the boots are the
	// model's; of other boots nobody knows what they can show.
	least float64
}

func changes() []change {
	every := func(by float64, which func(i int, op catalogue.Op) bool, ops []catalogue.Op) map[string]float64 {
		out := make(map[string]float64)
		for i, op := range ops {
			if which(i, op) {
				out[op.Name] = by
			}
		}
		return out
	}
	return []change{
		{"nothing", func(*rand.Rand, []catalogue.Op) map[string]float64 { return nil }, exitOK, 0},
		{"one op 20 % slower", func(rng *rand.Rand, ops []catalogue.Op) map[string]float64 {
			return map[string]float64{ops[rng.IntN(len(ops))].Name: 1.2}
		}, exitFailed, 0.85},
		{"everything 10 % slower", func(_ *rand.Rand, ops []catalogue.Op) map[string]float64 {
			return every(1.1, func(int, catalogue.Op) bool { return true }, ops)
		}, exitFailed, 0.75},
		{"half of the ops faster by 0.7", func(rng *rand.Rand, ops []catalogue.Op) map[string]float64 {
			half := rng.Perm(len(ops))[:len(ops)/2]
			return every(0.7, func(i int, _ catalogue.Op) bool { return slices.Contains(half, i) }, ops)
		}, exitOK, 0},
		{"one category 20 % slower", func(rng *rand.Rand, ops []catalogue.Op) map[string]float64 {
			c := ops[rng.IntN(len(ops))].Category
			return every(1.2, func(_ int, op catalogue.Op) bool { return op.Category == c }, ops)
		}, exitFailed, 0.85},
	}
}

// A replayed trial's answer, as the JSON of ab and of gate has it.
type answer struct {
	Old, New struct{ Boots int }
	Gate     struct {
		Status      int
		Regressions []string
		Reasons     []string
	}
	Movements []struct {
		Category string
		Slower   bool
	}
	Findings []struct {
		Key, Op, Category, Verdict, Outcome string
		Change, P                           float64
	}
}

// TestReplays measures recorded boots through the whole of ab, as its own
// process with builds that print them: an unchanged build and four kinds of
// change, each at another place of the recording. Every trial is killed or
// interrupted in the middle of a boot and goes on; its answer is that of gate
// on its directory, and of a trial that was not interrupted. The last is
// measured of one trial in four.
func TestReplays(t *testing.T) {
	t.Parallel()
	var rec *recording
	if *replayedBoots == "" {
		rec = modelled(160, compare.DefaultRounds, *replaySeed)
	} else {
		rec = readRecording(t, *replayedBoots)
	}
	last := compare.DefaultPlan().Last()
	require.Greater(t, len(rec.boots), 2*last, "boots of the recording")
	r := &replayer{rec: rec, dir: t.TempDir(), tallies: make(map[string]*tally)}
	boots := filepath.Join(r.dir, "recording")
	require.NoError(t, os.Mkdir(boots, 0o755))
	rec.write(t, boots)
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(self, filepath.Join(r.dir, "capsem-bench-on")))
	script, err := os.ReadFile(filepath.Join("testdata", "replay-build"))
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(r.dir, "build"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "build", partCommand), script, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "fit.json"), []byte(fitMachine), 0o644))
	r.env = []string{
		"HOME=" + r.dir, "PATH=/usr/bin:/bin", "TMPDIR=" + t.TempDir(), "REPLAY_BOOTS=" + boots,
		"CAPSEM_BENCH_TEST=/bin/true", "CAPSEM_GUEST=/bin/true", // which no boot runs
	}

	all := changes()
	if *replays == 1 {
		all = all[:2]
	}
	t.Run("trials", func(t *testing.T) {
		for i, c := range all {
			n := *replays
			if i > 0 {
				n = (n + 2) / 3
			}
			for k := range n {
				t.Run(fmt.Sprintf("%s %d", c.name, k+1), func(t *testing.T) {
					t.Parallel()
					r.trial(t, c, uint64(1000*i+k), (i+k)%2 == 0, (i+k)%4 == 0)
				})
			}
		}
	})
	t.Log("\n" + r.table(all))
	for _, c := range all {
		r.tallies[c.name].check(t, c, *replayedBoots == "")
	}
}

type replayer struct {
	rec *recording
	dir string
	env []string

	mu      sync.Mutex
	tallies map[string]*tally
}

// A tally is what trials of one change ended in.
type tally struct {
	trials, pass, block, cannot, wrong, boots int
}

// trial measures one change, with the end of the process in the middle of a
// boot, and with twice in one go too.
func (r *replayer) trial(t *testing.T, c change, number uint64, kill, twice bool) {
	rng := rand.New(rand.NewPCG(*replaySeed, number))
	env := append(slices.Clone(r.env), "REPLAY_FROM="+strconv.Itoa(rng.IntN(len(r.rec.boots)-2*compare.DefaultPlan().Last()+1)))
	factors := c.factors(rng, r.rec.ops)
	dir := t.TempDir()
	var text strings.Builder
	for op, by := range factors {
		fmt.Fprintf(&text, "%s %g\n", op, by)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "factors"), []byte(text.String()), 0o644))
	command := func(out string) []string {
		return []string{
			"ab", "--base", "build", "--cand", "build", "--cand-env", "REPLAY_FACTORS=" + filepath.Join(dir, "factors"),
			"--seed", strconv.FormatUint(number+1, 10), "--format", "json", "--quiet", "--out", filepath.Join(dir, out),
		}
	}
	r.interrupt(t, env, kill, filepath.Join(dir, "held"), 2+rng.IntN(11), command("broken")...)
	broken := r.answer(t, env, command("broken")...)
	again := r.answer(t, r.env, "gate", "--format", "json", filepath.Join(dir, "broken"))
	assert.Equal(t, broken, again, "gate repeats the answer of ab")
	if twice {
		whole := r.answer(t, env, command("whole")...)
		assert.Equal(t, whole, broken, "a trial that was interrupted goes on to the same answer")
	}
	r.count(t, c, factors, broken)
}

// answer runs the command and returns what it says.
func (r *replayer) answer(t *testing.T, env []string, args ...string) answer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(r.dir, "capsem-bench-on"), append([]string{"fit.json"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.dir, env, &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	var a answer
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &a), "%s: %s", strings.Join(args, " "), stderr.String())
	require.Equal(t, a.Gate.Status, cmd.ProcessState.ExitCode(), stderr.String())
	return a
}

// interrupt begins a trial and ends its process in a boot.
func (r *replayer) interrupt(t *testing.T, env []string, kill bool, held string, boot int, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(r.dir, "capsem-bench-on"), append([]string{"fit.json"}, args...)...)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Stderr = r.dir, &stderr
	cmd.Env = append(slices.Clone(env), "REPLAY_HOLD="+strconv.Itoa(boot), "REPLAY_HELD="+held)
	require.NoError(t, cmd.Start())
	underWay := assert.Eventually(t, func() bool {
		_, err := os.Stat(held)
		return err == nil
	}, time.Minute, 5*time.Millisecond, "boot %d", boot)
	signal := syscall.SIGINT
	if kill {
		signal = syscall.SIGKILL
	}
	require.NoError(t, cmd.Process.Signal(signal))
	_ = cmd.Wait()
	require.True(t, underWay, stderr.String())
	if !kill {
		assert.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode(), stderr.String())
	}
}

// count enters an answer. Wrong is one that names what did not become slower.
func (r *replayer) count(t *testing.T, c change, factors map[string]float64, a answer) {
	slower := func(match func(op catalogue.Op) bool) bool {
		return slices.ContainsFunc(r.rec.ops, func(op catalogue.Op) bool { return match(op) && factors[op.Name] > 1 })
	}
	var wrong []string
	for _, key := range a.Gate.Regressions {
		id, _, _ := strings.Cut(key, " ")
		if !slower(func(op catalogue.Op) bool { return op.ID == id }) {
			wrong = append(wrong, key)
		}
	}
	for _, m := range a.Movements {
		if m.Slower && !slower(func(op catalogue.Op) bool { return m.Category == "" || string(op.Category) == m.Category }) {
			wrong = append(wrong, m.Category+" as a whole")
		}
	}
	if a.Gate.Status == exitUnfit {
		// A third of the model's ops are noisy: one answer in three is that
		// too many of them would have hidden a slowdown.
		assert.Contains(t, a.Gate.Reasons[0], "would likely be missed")
	}
	if len(wrong) > 0 {
		t.Logf("named and not slower: %s", strings.Join(wrong, ", "))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.tallies[c.name]
	if n == nil {
		n = new(tally)
		r.tallies[c.name] = n
	}
	n.trials++
	n.boots += a.Old.Boots + a.New.Boots
	switch a.Gate.Status {
	case exitOK:
		n.pass++
	case exitFailed:
		n.block++
	default:
		n.cannot++
	}
	if len(wrong) > 0 {
		n.wrong++
	}
}

func (r *replayer) table(all []change) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-30s  trials  pass  block  cannot tell  named wrongly  mean boots\n", "the new build has")
	for _, c := range all {
		n := r.tallies[c.name]
		fmt.Fprintf(&b, "%-30s  %6d  %4d  %5d  %11d  %13d  %10.1f\n", c.name, n.trials, n.pass, n.block, n.cannot, n.wrong, float64(n.boots)/float64(n.trials))
	}
	return b.String()
}

// check holds the trials to the limits. 3 of 60 is where the lower end of the
// 95 % interval of a share (Clopper-Pearson) passes the one percent of false
// alarms that is allowed, and 2 of 20.
func (n *tally) check(t *testing.T, c change, known bool) {
	t.Helper()
	most := 1 + n.trials/40
	assert.LessOrEqual(t, n.wrong, most, "%s: trials that named what is not slower", c.name)
	if !known {
		return
	}
	if c.status == exitFailed {
		assert.GreaterOrEqual(t, float64(n.block), c.least*float64(n.trials)-1, "%s: trials that saw it", c.name)
	}
}
