package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A fake is a sandbox whose VMs are values. What goes wrong in it is set.
type fake struct {
	made, closed atomic.Int32
	lost         bool  // a fork lacks what was written
	status       int   // of the guest binary
	makeErr      error // of the making of a VM
	swallow      bool  // no byte arrives
}

func (f *fake) Floor(context.Context) (time.Duration, error) { return 3 * time.Second, nil }

func (f *fake) Make(ctx context.Context, o Options) (VM, error) {
	if f.makeErr != nil {
		return nil, f.makeErr
	}
	f.made.Add(1)
	return &fakeVM{f: f, fork: o.Image != nil}, nil
}

type fakeVM struct {
	f    *fake
	fork bool
}

func (v *fakeVM) Birth() Birth {
	return Birth{
		Begin: time.Now(), Provision: time.Second, Ready: 2 * time.Second,
		Stages: []record.BootStage{{Name: "kernel", TookNS: 5}, {Name: "no name of a stage", TookNS: 6}},
	}
}
func (v *fakeVM) Command() []string       { return []string{"true"} }
func (v *fakeVM) Connected() bool         { return true }
func (v *fakeVM) Memory() (Memory, error) { return Memory{Processes{20, 10}, Processes{4, 2}}, nil }

func (v *fakeVM) CanFork() error                      { return nil }
func (v *fakeVM) Fork(context.Context) (Image, error) { return fakeImage{}, nil }

func (v *fakeVM) Close() error {
	v.f.closed.Add(1)
	return nil
}

func (v *fakeVM) Run(_ context.Context, args []string, _, stderr io.Writer) (int, error) {
	fmt.Fprint(stderr, "no room")
	return v.f.status, nil
}

func (v *fakeVM) Exec(_ context.Context, line string, stdin io.Reader, stdout io.Writer) (int, error) {
	size := 0
	switch {
	case strings.Contains(line, "meminfo"):
		fmt.Fprint(stdout, "MemTotal: 8 kB\nMemAvailable: 1 kB\n")
	case line == "wc -c":
		n, _ := io.Copy(io.Discard, stdin)
		if v.f.swallow {
			n = 0
		}
		fmt.Fprintln(stdout, n)
	case line == listLine:
		fmt.Fprint(stdout, "written")
		if v.fork && v.f.lost {
			fmt.Fprint(stdout, " later")
		}
	default:
		if _, err := fmt.Sscanf(line, "head -c %d /dev/zero", &size); err == nil {
			_, _ = stdout.Write(make([]byte, size))
		}
	}
	return 0, nil
}

type fakeImage struct{}

func (fakeImage) Bytes() int64 { return 1000 }
func (fakeImage) LeftOut() int { return 2 }
func (fakeImage) Close() error { return nil }

func measure(t *testing.T, f *fake) (*convert.Report, int, error) {
	t.Helper()
	var out bytes.Buffer
	plan := Plan{Parts: catalogue.HostCategories(), VMs: 3, Category: catalogue.Disk, Execs: 2, ExecMB: 1, Head: record.Run{Arch: "x86_64", Sandbox: "qemu"}}
	status, err := Measure(t.Context(), f, plan, &out)
	rep, rerr := convert.Read(strings.NewReader(out.String()), "text")
	require.NoError(t, rerr)
	assert.Empty(t, rep.Warnings)
	assert.Equal(t, f.made.Load(), f.closed.Load(), "each VM that was made is deleted")
	return rep, status, err
}

// Each operation that is announced has a figure, in a text that is whole.
func TestEveryPhaseHasAFigure(t *testing.T) {
	t.Parallel()
	rep, status, err := measure(t, new(fake))
	require.NoError(t, err)
	assert.Zero(t, status)
	assert.True(t, rep.OK())
	assert.Len(t, rep.Run.Expected, 9+4+3+4)
	for _, name := range rep.Run.Expected {
		op, ok := catalogue.Lookup(name)
		require.True(t, ok, name)
		res := rep.Find(op.ID)
		require.NotNil(t, res, name)
		assert.Equal(t, record.OK, res.Status, name)
		for _, unit := range op.Units {
			assert.Positive(t, res.Values[unit].Median(), "%s %s", name, unit)
		}
	}
	at := func(id, unit string) float64 { return rep.Find(id).Values[unit].Median() }
	assert.Equal(t, 5.0, at("lifecycle/boot/kernel", "ns/op"))
	assert.Equal(t, 3e9, at("fork/boot_ready", "ns/op"), "its making is part of it")
	assert.Equal(t, 7168.0, at("lifecycle/memory/guest", "size-B"))
	assert.Greater(t, at("lifecycle/total", "ns/op"), 3e9)
	assert.Equal(t, []string{"2 files of the workspace are not in the copy"}, rep.Find("fork/fork").Note.Doubts)
	assert.Nil(t, rep.Find("lifecycle/boot/no name of a stage"))
}

// What is not what it should be has no figure, with the reason, and the rest goes on.
func TestWhatFailsHasNoFigure(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		f      *fake
		failed []string
		reason string
	}{
		"a fork without what was written": {
			&fake{lost: true},
			[]string{"fork/fork", "fork/image_size", "fork/boot_provision", "fork/boot_ready"},
			"what was written before the fork is not what the copy has",
		},
		"a category that fails": {&fake{status: 1}, []string{"parallel/1/vm", "parallel/3/vm", "parallel/3/all"}, "disk: exit status 1: no room"},
		"bytes that vanish":     {&fake{swallow: true}, []string{"exec/stdin"}, "0 of 1048576 bytes arrived"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep, status, err := measure(t, tt.f)
			require.NoError(t, err)
			assert.Equal(t, 1, status)
			var failed []string
			for _, res := range rep.Ops {
				if res.Status != record.OK {
					failed = append(failed, res.Op.ID)
					assert.Equal(t, record.Failed, res.Status)
					assert.Equal(t, tt.reason, res.Reason)
					assert.Empty(t, res.Samples)
				}
			}
			assert.ElementsMatch(t, tt.failed, failed)
			assert.Equal(t, "failed", rep.End.Status)
		})
	}
}

// A VM that cannot be made ends the measurement; what was not reached is missing.
func TestNoVM(t *testing.T) {
	t.Parallel()
	rep, status, err := measure(t, &fake{makeErr: errors.New("no kernel")})
	require.ErrorContains(t, err, "making a VM: no kernel")
	assert.Equal(t, 1, status)
	assert.Equal(t, record.OK, rep.Find("lifecycle/floor").Status)
	assert.Equal(t, record.Missing, rep.Find("lifecycle/provision").Status)
	assert.Equal(t, "making a VM: no kernel", rep.End.Reason)
}
