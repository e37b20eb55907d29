package record_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/record"
)

func TestClockAt(t *testing.T) {
	// The guest is 5 ms ahead at first, and gains another 1 ms in 10 s.
	first := record.ClockReading{TimeNS: 1e18, OffsetNS: 5e6, BoundNS: 2e5}
	last := record.ClockReading{TimeNS: 1e18 + 1e10, OffsetNS: 6e6, BoundNS: 4e5}
	for _, tt := range []struct {
		name          string
		readings      []record.ClockReading
		guest         int64
		offset, bound int64
		ok            bool
	}{
		{"none", nil, 1e18, 0, 0, false},
		{"at the first", []record.ClockReading{first, last}, 1e18 + 5e6, 5e6, 4e5, true},
		{"half-way", []record.ClockReading{first, last}, 1e18 + 5e9 + 55e5, 55e5, 4e5, true},
		{"at the last", []record.ClockReading{first, last}, 1e18 + 1e10 + 6e6, 6e6, 4e5, true},
		{"one alone drifts", []record.ClockReading{first}, 1e18 + 5e6 + 1e9, 5e6, 2e5 + 5e5, true},
		{"a clock set back", []record.ClockReading{first, {TimeNS: 1e18 + 1e9, OffsetNS: -2e9}}, 1e18 + 5e6, 5e6, 2e5, true},
		{"beyond all measure", []record.ClockReading{{OffsetNS: math.MinInt64}, {TimeNS: 1, OffsetNS: math.MaxInt64}}, 0, 0, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &record.Clock{Readings: tt.readings}
			offset, bound, ok := c.At(tt.guest)
			assert.Equal(t, tt.ok, ok)
			assert.InDelta(t, tt.offset, offset, 2000) // a float64 of the time has 256 ns
			assert.InDelta(t, tt.bound, bound, 2000)
		})
	}
	var none *record.Clock
	_, _, ok := none.At(1)
	assert.False(t, ok)
}

func TestClockLine(t *testing.T) {
	c := record.Clock{Type: record.TypeClock, Readings: []record.ClockReading{{TimeNS: 1, OffsetNS: -2, BoundNS: 3}}}
	line, err := record.Append(nil, c)
	require.NoError(t, err)
	assert.Equal(t, `#capsem {"type":"clock","readings":[{"time_ns":1,"offset_ns":-2,"bound_ns":3}]}`+"\n", string(line))
	v, err := record.Parse(line)
	require.NoError(t, err)
	assert.Equal(t, &c, v)
}
