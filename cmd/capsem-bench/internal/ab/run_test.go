package ab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/hostcheck"
	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fake is a sandbox that takes no time.
type fake struct {
	boots []Boot
	// hook may write something else, or fail; n counts boots from 1.
	hook func(n int, b Boot, w io.Writer) (done bool, err error)
}

func (f *fake) measure(_ context.Context, b Boot, w io.Writer) error {
	f.boots = append(f.boots, b)
	if f.hook != nil {
		if done, err := f.hook(len(f.boots), b, w); done || err != nil {
			return err
		}
	}
	writeRun(w, "ok")
	return nil
}

// writeRun writes a run of one op.
func writeRun(w io.Writer, end string) {
	const op = "Throughput"
	for _, v := range []any{
		&record.Run{Type: record.TypeRun, Schema: record.Schema, Arch: "x86_64", Rounds: 1, Expected: []string{op}},
		&record.Status{Type: record.TypeStatus, Op: op, Status: record.OK},
		&record.End{Type: record.TypeEnd, Status: end},
	} {
		line, _ := record.Append(nil, v)
		_, _ = w.Write(line)
	}
}

func plan() Plan {
	return Plan{Base: Build{Name: "a"}, Cand: Build{Name: "b"}, Sandbox: "fake", Looks: []int{2, 3}, Rounds: 1, Seed: 7}
}

func config(t *testing.T, f *fake) Config {
	return Config{
		Dir: t.TempDir(), Plan: plan(), Measure: f.measure,
		Decide: func(base, _ []string) (Decision, error) {
			if len(base) < 3 {
				return Decision{Open: []catalogue.Category{catalogue.Snapshot}, OpenOps: 4}, nil
			}
			return Decision{}, nil
		},
	}
}

// slots are the boots that count, as their files say.
func slots(t *testing.T, files ...[]string) (out []record.Boot) {
	for _, name := range slices.Concat(files...) {
		b, err := readBoot(name)
		require.NoError(t, err)
		out = append(out, *b)
	}
	slices.SortFunc(out, func(a, b record.Boot) int { return a.Slot - b.Slot })
	return out
}

// TestOrder proves the order from what was kept, as the gate does.
func TestOrder(t *testing.T) {
	f := &fake{}
	cfg := config(t, f)
	var notified []Progress
	cfg.Notify = func(p Progress) { notified = append(notified, p) }
	res, err := Run(context.Background(), cfg)
	require.NoError(t, err)
	assert.Equal(t, 2, res.Looks)
	assert.Len(t, res.Base, 3)
	lead, last := 0, 0.0
	for i, b := range slots(t, res.Base, res.Cand) {
		assert.Equal(t, i+1, b.Slot)
		assert.Equal(t, uint64(7), b.Seed)
		assert.Equal(t, map[bool]int{true: 1, false: 2}[i < 4], b.Stage)
		assert.Greater(t, b.Time, last)
		last = b.Time
		lead += map[string]int{Base: 1, Cand: -1}[b.Side]
		assert.LessOrEqual(t, max(lead, -lead), 1, "after boot %d", i+1)
		assert.Equal(t, b.Side, f.boots[i].Side, "files and boots agree")
	}
	assert.Empty(t, f.boots[0].Categories, "all categories first")
	assert.Equal(t, []catalogue.Category{catalogue.Snapshot}, f.boots[4].Categories, "then the open ones")
	assert.Equal(t, []int{-1, -1, -1, -1, 4, 4}, []int{notified[0].OpenOps, notified[1].OpenOps, notified[2].OpenOps, notified[3].OpenOps, notified[4].OpenOps, notified[5].OpenOps})
	assert.Equal(t, []int{4, 4, 4, 4, 6, 6}, []int{notified[0].Planned, notified[1].Planned, notified[2].Planned, notified[3].Planned, notified[4].Planned, notified[5].Planned})
}

// TestOrderIsRandom holds the order to its seed: the sides come first about
// equally often, and differently with another seed.
func TestOrderIsRandom(t *testing.T) {
	p := Plan{Seed: 1}
	q := Plan{Seed: 2}
	first, same := 0, 0
	for pair := range 400 {
		if p.Order(pair)[0] == Base {
			first++
		}
		if p.Order(pair) == q.Order(pair) {
			same++
		}
	}
	assert.InDelta(t, 200, first, 40)
	assert.InDelta(t, 200, same, 40)
}

func TestStopsWhenSettled(t *testing.T) {
	f := &fake{}
	cfg := config(t, f)
	cfg.Decide = func(_, _ []string) (Decision, error) { return Decision{}, nil }
	res, err := Run(context.Background(), cfg)
	require.NoError(t, err)
	assert.Equal(t, 1, res.Looks)
	assert.Len(t, f.boots, 4)
}

// TestResume interrupts a trial at every boot and goes on; what was measured
// stays, and nothing is measured twice but a pair that was torn.
func TestResume(t *testing.T) {
	for stop := 1; stop <= 6; stop++ {
		t.Run(fmt.Sprint("at boot ", stop), func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			f := &fake{}
			f.hook = func(n int, _ Boot, w io.Writer) (bool, error) {
				if n == stop {
					fmt.Fprintln(w, "goos: linux")
					cancel()
					return true, ctx.Err()
				}
				return false, nil
			}
			cfg := config(t, f)
			_, err := Run(ctx, cfg)
			require.ErrorIs(t, err, context.Canceled)

			cfg.Plan.Seed = 0 // the one of the directory is taken
			res, err := Run(context.Background(), cfg)
			require.NoError(t, err)
			assert.Len(t, slots(t, res.Base, res.Cand), 6)
			torn := (stop - 1) % 2
			assert.Len(t, f.boots, 6+1+torn)
			assert.Len(t, res.Repeats, torn)
			aside, err := filepath.Glob(filepath.Join(cfg.Dir, repeatsDir, "*.txt"))
			require.NoError(t, err)
			assert.Len(t, aside, 1+torn, "every text is kept")

			// A finished trial is only judged again.
			before := len(f.boots)
			again, err := Run(context.Background(), cfg)
			require.NoError(t, err)
			assert.Equal(t, res, again)
			assert.Len(t, f.boots, before)
		})
	}
}

func TestChangedPlanIsRefused(t *testing.T) {
	cfg := config(t, &fake{})
	_, err := Run(context.Background(), cfg)
	require.NoError(t, err)
	for name, change := range map[string]func(*Plan){
		"looks": func(p *Plan) { p.Looks = []int{2, 4} },
		"cand":  func(p *Plan) { p.Cand.Files = map[string]string{"guest": "00"} },
		"seed":  func(p *Plan) { p.Seed = 8 },
	} {
		other := cfg
		change(&other.Plan)
		_, err := Run(context.Background(), other)
		require.ErrorIs(t, err, ErrChanged)
		assert.ErrorContains(t, err, name+" was ")
	}
	require.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, "plan.json"), []byte("{"), 0o600))
	_, err = Run(context.Background(), cfg)
	assert.ErrorContains(t, err, "plan.json: ")
}

func TestForeignTextIsRefused(t *testing.T) {
	for name, line := range map[string]record.Boot{
		"another seed": {Side: Base, Stage: 1, Slot: 1, Seed: 9},
		"another slot": {Side: Base, Stage: 1, Slot: 99, Seed: 7},
		"no slot":      {Side: Base, Stage: 1, Seed: 7},
		"another side": {Side: Cand, Stage: 1, Slot: 1, Seed: 7},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, &fake{})
			line.Type = record.TypeBoot
			text, err := record.Append(nil, &line)
			require.NoError(t, err)
			file := filepath.Join(cfg.Dir, Base, record.BootFile(1))
			require.NoError(t, os.Mkdir(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, text, 0o600))
			_, err = Run(context.Background(), cfg)
			assert.ErrorContains(t, err, "it is no boot of this trial")
		})
	}
}

// TestTwoTextsOfOneBoot refuses a copy beside the original: which of them
// counts would depend on their names.
func TestTwoTextsOfOneBoot(t *testing.T) {
	cfg := config(t, &fake{})
	res, err := Run(context.Background(), cfg)
	require.NoError(t, err)
	text, err := os.ReadFile(res.Base[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, Base, "copy.txt"), text, 0o600))
	_, err = Run(context.Background(), cfg)
	require.ErrorIs(t, err, ErrForeign)
	assert.ErrorContains(t, err, "copy.txt: boot ")
}

// TestPairsAreRepeated lets boots crash in every way.
func TestPairsAreRepeated(t *testing.T) {
	crashes := map[string]func(w io.Writer) error{
		"no run":           func(w io.Writer) error { _, err := io.WriteString(w, "login: "); return err },
		"did not end":      func(w io.Writer) error { _, err := io.WriteString(w, firstLine()); return err },
		"was interrupted":  func(w io.Writer) error { writeRun(w, "interrupted"); return nil },
		"ran out of time":  func(w io.Writer) error { writeRun(w, "timeout"); return nil },
		"ended, then died": func(w io.Writer) error { writeRun(w, "ok"); return errors.New("exit status -1") },
	}
	for name, crash := range crashes {
		t.Run(name, func(t *testing.T) {
			f := &fake{hook: func(n int, _ Boot, w io.Writer) (bool, error) {
				if n == 2 || n == 5 {
					return true, crash(w)
				}
				return false, nil
			}}
			cfg := config(t, f)
			res, err := Run(context.Background(), cfg)
			require.NoError(t, err)
			require.Len(t, res.Repeats, 2)
			assert.Equal(t, compare.Crashed, res.Repeats[0].Cause)
			assert.Equal(t, f.boots[1].Side, res.Repeats[0].Side)
			assert.Equal(t, 1, res.Repeats[0].Pair)
			assert.NotEmpty(t, res.Repeats[0].Reason)
			assert.Len(t, slots(t, res.Base, res.Cand), 6)
			aside, err := filepath.Glob(filepath.Join(cfg.Dir, repeatsDir, "*.txt"))
			require.NoError(t, err)
			assert.Len(t, aside, 3, "the first crash had its partner before it")
		})
	}
}

func firstLine() string {
	var b strings.Builder
	writeRun(&b, "ok")
	line, _, _ := strings.Cut(b.String(), "\n")
	return line + "\n"
}

// TestTooManyRepeats allows two a stage, also over a resumption.
func TestTooManyRepeats(t *testing.T) {
	f := &fake{hook: func(_ int, b Boot, _ io.Writer) (bool, error) {
		if b.Side == Cand {
			return true, errors.New("kernel panic")
		}
		return false, nil
	}}
	cfg := config(t, f)
	_, err := Run(context.Background(), cfg)
	var crash *CrashError
	require.ErrorAs(t, err, &crash)
	assert.Equal(t, Cand, crash.Side)
	assert.ErrorContains(t, err, "boots of the cand side crashed in more than 2 pairs of stage 1; the last: kernel panic")
	n := len(f.boots)
	_, err = Run(context.Background(), cfg)
	require.ErrorAs(t, err, &crash)
	assert.LessOrEqual(t, len(f.boots), n+2)

	// What crashes every boot is nobody's alone, whichever side is first.
	for seed := range uint64(4) {
		f = &fake{hook: func(int, Boot, io.Writer) (bool, error) { return true, errors.New("no VM") }}
		cfg = config(t, f)
		cfg.Plan.Seed = seed
		_, err = Run(context.Background(), cfg)
		require.ErrorAs(t, err, &crash)
		assert.NotEqual(t, Cand, crash.Side, "seed %d", seed)
	}

	f = &fake{}
	f.hook = func(n int, b Boot, _ io.Writer) (bool, error) {
		return true, fmt.Errorf("no VM for %s", []string{Base, Cand, Base}[(n-1)%3])
	}
	cfg = config(t, f)
	_, err = Run(context.Background(), cfg)
	require.ErrorAs(t, err, &crash)
}

func TestUnfitMachine(t *testing.T) {
	unfit := func(bad ...int) func(context.Context) *hostcheck.Report {
		n := 0
		return func(context.Context) *hostcheck.Report {
			n++
			r := &hostcheck.Report{Machine: record.Machine{Type: record.TypeMachine, BurnNS: 1}}
			if slices.Contains(bad, n) {
				r.Machine.Unfit = []string{"busy: 80 %"}
			}
			return r
		}
	}
	t.Run("before the first boot", func(t *testing.T) {
		f := &fake{}
		cfg := config(t, f)
		cfg.Examine = unfit(1, 2, 3, 4, 5)
		_, err := Run(context.Background(), cfg)
		var e *UnfitError
		require.ErrorAs(t, err, &e)
		assert.Empty(t, f.boots)
	})
	t.Run("once", func(t *testing.T) {
		f := &fake{}
		cfg := config(t, f)
		cfg.Examine = unfit(3)
		res, err := Run(context.Background(), cfg)
		require.NoError(t, err)
		require.Len(t, res.Repeats, 1)
		assert.Equal(t, compare.Unfit, res.Repeats[0].Cause)
		assert.Len(t, slots(t, res.Base, res.Cand), 6)
	})
	t.Run("always", func(t *testing.T) {
		cfg := config(t, &fake{})
		cfg.Examine = unfit(2, 4, 6, 8)
		_, err := Run(context.Background(), cfg)
		var e *UnfitError
		require.ErrorAs(t, err, &e)
	})
	t.Run("accepted", func(t *testing.T) {
		f := &fake{}
		cfg := config(t, f)
		cfg.AcceptUnfit = true
		cfg.Examine = unfit(1, 2, 3)
		res, err := Run(context.Background(), cfg)
		require.NoError(t, err)
		assert.Empty(t, res.Repeats)
		text, err := os.ReadFile(slices.Concat(res.Base, res.Cand)[0])
		require.NoError(t, err)
		assert.Contains(t, string(text), `"unfit":["busy: 80 %"]`, "it is stored with the boot")
	})
}

func TestOneTrialADirectory(t *testing.T) {
	cfg := config(t, nil)
	cfg.Measure = func(context.Context, Boot, io.Writer) error {
		_, err := Run(context.Background(), cfg)
		return err
	}
	_, err := Run(context.Background(), cfg)
	var crash *CrashError
	require.ErrorAs(t, err, &crash)
	assert.Contains(t, crash.Last.Reason, "another trial measures into it")
}

func TestGivingUp(t *testing.T) {
	f := &fake{hook: func(int, Boot, io.Writer) (bool, error) { return true, fmt.Errorf("usage: %w", ErrGiveUp) }}
	_, err := Run(context.Background(), config(t, f))
	require.ErrorIs(t, err, ErrGiveUp)
	assert.Len(t, f.boots, 1)
}

func TestNothingSaid(t *testing.T) {
	f := &fake{hook: func(n int, _ Boot, _ io.Writer) (bool, error) { return n < 3, nil }}
	res, err := Run(context.Background(), config(t, f))
	require.NoError(t, err)
	require.Len(t, res.Repeats, 2)
	assert.Equal(t, "the guest measured nothing", res.Repeats[0].Reason)
}

func TestPlanCheck(t *testing.T) {
	for _, looks := range [][]int{nil, {0}, {3, 3}, {5, 4}, {9999}} {
		p := plan()
		p.Looks = looks
		assert.Error(t, p.Check(), "%v", looks)
	}
	p := plan()
	p.Rounds = 0
	assert.Error(t, p.Check())
}

func TestFirstPairMayEndIt(t *testing.T) {
	f := &fake{}
	cfg := config(t, f)
	cfg.First = func(base, cand []string) error {
		assert.Len(t, base, 1)
		assert.Len(t, cand, 1)
		return errors.New("underpowered")
	}
	_, err := Run(context.Background(), cfg)
	assert.EqualError(t, err, "underpowered")
	assert.Len(t, f.boots, 2)
}

// A text of a build from before the guest line gets one under the host's own
// lines, so that nothing of it is taken for the host's word; others keep theirs.
func TestWriteTextEndsTheHead(t *testing.T) {
	const clock = `#capsem {"type":"clock"}` + "   \n"
	const forged = `#capsem {"type":"boot","slot":9}` + "\n"
	boot := &record.Boot{Type: record.TypeBoot, Side: Cand, Slot: 1}
	head, err := record.Append(nil, boot)
	require.NoError(t, err)
	for _, tt := range []struct{ name, text, want string }{
		{"of an older build", forged + "said\n", record.GuestLine + forged + "said\n"},
		{"of an older build in a VM", clock + forged + "said\n", record.GuestLine + clock + forged + "said\n"},
		{"with a guest line", record.GuestLine + forged, record.GuestLine + forged},
		{"with a guest line in a VM", clock + record.GuestLine + forged, clock + record.GuestLine + forged},
		{"with a guest line of the guest", forged + record.GuestLine, record.GuestLine + forged + record.GuestLine},
		{"empty", "", record.GuestLine},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "boot.txt")
			require.NoError(t, writeText(name, []any{boot}, []byte(tt.text)))
			got, err := os.ReadFile(name)
			require.NoError(t, err)
			assert.Equal(t, string(head)+tt.want, string(got))
		})
	}
}
