package main

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/record"
)

// wrongClock is a guest whose clock is off by the given offsets, reading by
// reading; when they are used up it is gone.
type wrongClock struct{ offsets []int64 }

func (w *wrongClock) ReadClock(context.Context) (record.ClockReading, error) {
	if len(w.offsets) == 0 {
		return record.ClockReading{}, errors.New("gone")
	}
	r := record.ClockReading{TimeNS: math.MaxInt64, OffsetNS: w.offsets[0], BoundNS: math.MaxInt64}
	w.offsets = w.offsets[1:]
	return r, nil
}

// The line is completed in its place: in the file, and in memory where the
// file could not take it.
func TestClockLineIsCompleted(t *testing.T) {
	t.Parallel()
	const said = "what the guest says\n"
	for name, file := range map[string]string{"file": filepath.Join(t.TempDir(), "bench.txt"), "memory": "", "full disk": "/dev/full"} {
		t.Run(name, func(t *testing.T) {
			text := newTextFile(file, func(error) {})
			if name == "full disk" {
				f, err := os.OpenFile(file, os.O_RDWR, 0)
				if err != nil {
					t.Skip("no /dev/full; it belongs to Linux")
				}
				text.file, text.err = f, nil
			}
			_, _ = io.WriteString(text, "head\n")
			c := beginClock(t.Context(), &wrongClock{[]int64{math.MinInt64, 7}}, text)
			_, _ = io.WriteString(text, said)
			length := text.Len()
			c.end(t.Context())
			c.end(t.Context()) // gone: what was read stays
			assert.Equal(t, length, text.Len())
			all, err := io.ReadAll(text.Reader())
			require.NoError(t, err)
			lines := strings.SplitAfter(string(all), "\n")
			require.Len(t, lines, 4)
			assert.Equal(t, []string{"head\n", said, ""}, []string{lines[0], lines[2], lines[3]})
			v, err := record.Parse([]byte(lines[1]))
			require.NoError(t, err)
			got := v.(*record.Clock).Readings
			require.Len(t, got, 2)
			assert.Equal(t, []int64{math.MinInt64, 7}, []int64{got[0].OffsetNS, got[1].OffsetNS})
			require.NoError(t, text.Close())
		})
	}
}

// A guest that cannot be asked gets a line without readings, so that it has
// no place for one of its own.
func TestClockLineWithoutReadings(t *testing.T) {
	t.Parallel()
	text := newTextFile("", func(error) {})
	beginClock(t.Context(), &wrongClock{}, text).end(t.Context())
	rep, err := convert.Read(text.Reader(), "text")
	require.NoError(t, err)
	require.NotNil(t, rep.Clock)
	assert.Empty(t, rep.Clock.Readings)
	assert.Nil(t, beginClock(t.Context(), here{}, text))
	beginClock(t.Context(), here{}, text).end(t.Context())
}

// stagedClock is a guest that also says what its boot took.
type stagedClock struct{ wrongClock }

func (*stagedClock) BootStages() []record.BootStage {
	return []record.BootStage{{Name: "kernel", TookNS: math.MaxInt64}, {Name: "ssh", TookNS: 7}}
}

func TestClockLineHasTheStagesOfTheBoot(t *testing.T) {
	t.Parallel()
	text := newTextFile("", func(error) {})
	guest := &stagedClock{wrongClock{[]int64{math.MinInt64, math.MaxInt64}}}
	c := beginClock(t.Context(), guest, text)
	_, _ = io.WriteString(text, record.GuestLine)
	c.end(t.Context())
	rep, err := convert.Read(text.Reader(), "text")
	require.NoError(t, err)
	require.NotNil(t, rep.Clock)
	assert.Len(t, rep.Clock.Readings, 2)
	require.Len(t, rep.Clock.Stages, 2)
	assert.Equal(t, "kernel", rep.Clock.Stages[0].Name)
	assert.Equal(t, int64(7), rep.Clock.Stages[1].TookNS)
}
