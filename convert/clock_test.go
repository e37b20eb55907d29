package convert

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/record"
)

// clockText is a boot of one operation with the given readings.
func clockText(t *testing.T, readings ...record.ClockReading) string {
	t.Helper()
	line, err := record.Append(nil, record.Clock{Type: record.TypeClock, Readings: readings})
	require.NoError(t, err)
	return string(line) + `#capsem {"type":"run","schema":"capsem-bench.text/1","version":"0.1.0","time":1,"seed":1,"hostname":"h","arch":"x86_64","root":true,"rounds":1,` +
		`"expected":["Disk/op=seq_read/size=256MiB","Disk/op=seq_write/size=256MiB"]}` + "\n" + coldText("cold", [2]int64{900, 100}) +
		`#capsem {"type":"end","time":2,"elapsed_ns":1,"status":"ok"}` + "\n"
}

func TestClockDoubt(t *testing.T) {
	const second = 1e9
	first := record.ClockReading{TimeNS: 1e18, OffsetNS: 20e6, BoundNS: 1e6}
	after := func(seconds, offset, bound int64) record.ClockReading {
		return record.ClockReading{TimeNS: first.TimeNS + seconds*second, OffsetNS: first.OffsetNS + offset, BoundNS: bound}
	}
	for _, tt := range []struct {
		name     string
		readings []record.ClockReading
		want     string
	}{
		{"none", nil, ""},
		{"one", []record.ClockReading{first}, ""},
		{"alike", []record.ClockReading{first, after(60, -1e6, 1e6)}, ""},
		{"drifts by less than 0.5 %", []record.ClockReading{first, after(60, 300e6, 1e6)}, ""},
		{"held up by 50 ms in a short run", []record.ClockReading{first, after(1, 50e6, 1e6)}, ""},
		{"read no better than that", []record.ClockReading{first, after(1, 300e6, 299e6)}, ""},
		{"drifts", []record.ClockReading{first, after(60, 400e6, 1e6)}, "0.40 s ahead of the host's in 60 s"},
		{"jumped ahead", []record.ClockReading{first, after(60, 2000*second, 1e6)}, "2000.00 s ahead of the host's in 60 s"},
		{"stood still", []record.ClockReading{first, after(60, -5*second, 1e6)}, "5.00 s behind the host's in 60 s"},
		{"the host's was set back", []record.ClockReading{first, after(-60, 90*second, 1e6)}, "90.00 s ahead of the host's in 60 s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rep, err := Read(strings.NewReader(clockText(t, tt.readings...)), "text")
			require.NoError(t, err)
			res := rep.Find("disk/seq_read")
			require.NotNil(t, res)
			if tt.want == "" {
				assert.Empty(t, res.Note.Doubts)
				return
			}
			want := "the guest's clock ran " + tt.want + ": its times are not to be trusted"
			assert.Equal(t, []string{want}, res.Note.Doubts)
			assert.Empty(t, rep.Find("disk/seq_write").Note.Doubts, "it has no times")

			var doc, tables bytes.Buffer
			require.NoError(t, rep.WriteJSON(&doc))
			assert.Contains(t, doc.String(), want)
			require.NoError(t, WriteTables(&tables, rep, TableOptions{Width: 200}))
			assert.Contains(t, tables.String(), want)
		})
	}
}

// Of several boots the first one that is in doubt is named.
func TestClockDoubtOfBoots(t *testing.T) {
	good := record.ClockReading{TimeNS: 1e18, BoundNS: 1e6}
	bad := record.ClockReading{TimeNS: 1e18 + 1e9, OffsetNS: 3e9}
	var sources []Source
	for i, readings := range [][]record.ClockReading{{good, good}, {good, bad}, {}, {good, bad}} {
		sources = append(sources, Source{[]string{"one", "two", "three", "four"}[i], strings.NewReader(clockText(t, readings...))})
	}
	rep, err := ReadAll(sources...)
	require.NoError(t, err)
	assert.Equal(t,
		[]string{"the guest's clock ran 3.00 s ahead of the host's in 1 s: its times are not to be trusted (two; in 2 of 4 boots)"},
		rep.Find("disk/seq_read").Note.Doubts)
	assert.Equal(t, []record.ClockReading{good, good}, rep.Clock.Readings, "the first one's")
}
