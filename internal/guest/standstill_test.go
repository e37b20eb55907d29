package guest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestJudgeStandstill(t *testing.T) {
	start := time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	timed := []span{{at(10), at(20)}, {at(30), at(40)}}
	const stopped = ": it or its machine was stopped or got no processor"
	for _, tt := range []struct {
		name           string
		gaps           []span
		asleep, stolen time.Duration
		err, doubt     string
	}{
		{name: "nothing"},
		{"within a timed part", []span{{at(12), at(15)}}, 0, 0, "invalid: the process stood still for 3.0 s while it measured 20.0 s" + stopped, ""},
		{"half of it outside", []span{{at(18), at(22)}}, 0, 0, "invalid: the process stood still for 2.0 s while it measured 20.0 s" + stopped, ""},
		{"over both", []span{{at(5), at(50)}}, 0, 0, "invalid: the process stood still for 20.0 s while it measured 20.0 s" + stopped, ""},
		{"between", []span{{at(21), at(29)}}, 0, 0, "", "the process stood still for 8.0 s during the pass" + stopped},
		{"hardly within", []span{{at(19.5), at(22)}}, 0, 0, "", "the process stood still for 2.5 s during the pass" + stopped},
		{"suspended", nil, 61 * time.Second, 0, "invalid: the machine was suspended for 61.0 s during the pass", ""},
		{"clocks drift", nil, time.Millisecond, 0, "", ""},
		{"stolen", nil, 0, 3 * time.Second, "", "the hypervisor gave 3.0 s of processor time to others during the pass"},
		{"little stolen", nil, 0, 1900 * time.Millisecond, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &Pass{spans: timed}
			p.samples.ElapsedNS = int64(20 * time.Second)
			err := judgeStandstill(p, tt.gaps, tt.asleep, tt.stolen)
			if tt.err == "" {
				assert.NoError(t, err)
			} else {
				assert.EqualError(t, err, tt.err)
			}
			if tt.doubt == "" {
				assert.Empty(t, p.status.Doubts)
			} else {
				assert.Equal(t, []string{tt.doubt}, p.status.Doubts)
			}
		})
	}
}

// Ticks that come in time are no gap, however long the pass takes.
func TestStandstillOfARunningProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watchStandstill()
		time.Sleep(time.Minute) // of the test's clock
		require.NoError(t, s.end(&Pass{}))
		assert.Empty(t, s.gaps)
	})
}

func TestTick(t *testing.T) {
	var s standstill
	now := time.Now()
	s.tick(now, now.Add(tickInterval+stillAfter-1))
	assert.Empty(t, s.gaps)
	s.tick(now, now.Add(tickInterval+stillAfter))
	assert.Equal(t, []span{{now, now.Add(tickInterval + stillAfter)}}, s.gaps)
}

func TestReadClocks(t *testing.T) {
	a, b := readClocks(), readClocks()
	assert.Less(t, (b.asleep - a.asleep).Abs(), time.Second, "awake between two calls")
	assert.GreaterOrEqual(t, b.stolen, a.stolen)
}
