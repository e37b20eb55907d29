package hostcheck

import (
	"context"
	"testing"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
)

func TestBurnIn(t *testing.T) {
	b := burnIn(context.Background(), turns)
	assert.Positive(t, b.median)
	assert.GreaterOrEqual(t, b.spread, 0.0)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := Examine(ctx, Options{})
	assert.Contains(t, r.Machine.Unfit, "burn-in: interrupted")
	assert.False(t, r.Fit())
}

func TestBurnInLimit(t *testing.T) {
	for spread, want := range map[float64]State{0: OK, 0.10: OK, 0.11: Unfit} {
		var r Report
		r.burnIn(burn{1e6, spread})
		assert.Equal(t, want, r.Checks[0].State, "%v", spread)
	}
}

func TestProcessors(t *testing.T) {
	tests := []struct {
		name     string
		to       ticks
		between  bool
		busy     State
		steal    State
		load     State
		wantBusy float64
	}{
		{"idle", ticks{total: 200, busy: 100, own: 98, cpus: 2}, false, OK, OK, OK, 0.01},
		{"a neighbour", ticks{total: 200, busy: 180, own: 100, load: 1.5, cpus: 2}, false, Unfit, OK, Doubt, 0.4},
		{"steal", ticks{total: 200, busy: 98, steal: 12, own: 98, load: 2.5, cpus: 2}, false, OK, Unfit, Unfit, 0},
		{"own load", ticks{total: 200, busy: 118, own: 98, load: 2.5, cpus: 2}, true, Doubt, OK, Info, 0.1},
		{"unknown", ticks{cpus: 2}, false, Info, "", OK, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r Report
			r.processors(ticks{}, tt.to, Options{Between: tt.between})
			got := make(map[string]State)
			for _, c := range r.Checks {
				got[c.Name] = c.State
			}
			assert.Equal(t, tt.busy, got["busy"])
			assert.Equal(t, tt.steal, got["steal"])
			assert.Equal(t, tt.load, got["load"])
			assert.InDelta(t, tt.wantBusy, r.Machine.Busy, 1e-9)
		})
	}
}

func TestFreeDisk(t *testing.T) {
	for free, want := range map[uint64]State{1 << 20: Unfit, 2 << 30: Doubt, 8 << 30: OK} {
		var r Report
		r.freeDisk(".", free)
		assert.Equal(t, want, r.Checks[0].State)
	}
}

func TestBetween(t *testing.T) {
	report := func(burn int64, total, steal float64, unfit ...string) *Report {
		return &Report{
			Machine: record.Machine{BurnNS: burn, Unfit: unfit, Doubts: []string{"governor: powersave"}},
			cpu:     ticks{total: total, steal: steal},
		}
	}
	tests := []struct {
		name          string
		before, after *Report
		unfit         []string
		doubts        []string
	}{
		{"steady", report(100, 0, 0), report(109, 1000, 5), nil, []string{"governor: powersave"}},
		{
			"it got hot", report(100, 0, 0), report(120, 1000, 0),
			[]string{"burn-in: its time changed by 20 % during the measurement"},
			[]string{"governor: powersave"},
		},
		{
			"stolen from", report(100, 0, 0), report(100, 1000, 60),
			[]string{"steal: 6.0 % during the measurement"},
			[]string{"governor: powersave"},
		},
		{
			"some stolen", report(100, 0, 0), report(100, 1000, 20), nil,
			[]string{"governor: powersave", "steal: 2.0 % during the measurement"},
		},
		{
			"unfit both times", report(100, 0, 0, "busy: x"), report(100, 0, 0, "busy: x"),
			[]string{"busy: x"},
			[]string{"governor: powersave"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			unfit, doubts := Between(tt.before, tt.after)
			assert.Equal(t, tt.unfit, unfit)
			assert.Equal(t, tt.doubts, doubts)
		})
	}
}
