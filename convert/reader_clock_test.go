package convert

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The host's clock line comes before anything the guest says, so a guest
// cannot put its own in that place: not before its run line and not after it.
func TestClockOfTheGuestMeansNothing(t *testing.T) {
	const (
		run    = `#capsem {"type":"run","schema":"capsem-bench.text/1","version":"0.1.0","time":1,"seed":1,"hostname":"h","arch":"x86_64","root":true,"rounds":1,"expected":[]}` + "\n"
		none   = `#capsem {"type":"clock"}` + "\n"
		host   = `#capsem {"type":"clock","readings":[{"time_ns":1,"offset_ns":20,"bound_ns":3}]}` + "\n"
		forged = `#capsem {"type":"clock","readings":[{"time_ns":1,"offset_ns":99,"bound_ns":0}]}` + "\n"
		boot   = `#capsem {"type":"boot","slot":1,"time":1}` + "\n"
	)
	for _, tt := range []struct {
		name, text string
		offset     int64
		ok         bool
	}{
		{"host's alone", host + run, 20, true},
		{"padded, behind the boot line", boot + strings.TrimSuffix(host, "\n") + "    \n" + run, 20, true},
		{"another before the run", host + forged + run, 20, true},
		{"another after it", host + run + forged, 20, true},
		{"where the host could not read it", none + forged + run, 0, false},
		{"the guest's alone", run + forged, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rep, err := Read(strings.NewReader(tt.text), "text")
			require.NoError(t, err)
			offset, _, ok := rep.Clock.At(1)
			assert.Equal(t, tt.ok, ok)
			assert.Equal(t, tt.offset, offset)
		})
	}
}
