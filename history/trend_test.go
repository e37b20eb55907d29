package history

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// twenty adds twenty releases; from the fourteenth on some ops are slower.
func twenty(t *testing.T, s *Store, slow map[string]float64) {
	t.Helper()
	for day := 1; day <= 20; day++ {
		var now map[string]float64
		if day >= 14 {
			now = slow
		}
		add(t, s, aRun(t, uint64(day), day, 3, Labels{"release": fmt.Sprintf("1.%d", day)}, now))
	}
}

func TestTrendNamesTheReleaseAndTheOps(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		slow := map[string]float64{"snapshot/100/create": 0.3, "snapshot/10/create": 0.3, "http/get": 0.2}
		twenty(t, s, slow)
		trends, err := s.Trends(t.Context(), Query{Detector: DefaultDetector()})
		require.NoError(t, err)
		for _, tr := range trends {
			require.Len(t, tr.Lines, 1, tr.Op)
			l := tr.Lines[0]
			require.Len(t, l.Points, 20)
			assert.Len(t, l.Points[0].Values, 3)
			if slow[tr.Op] == 0 {
				assert.Empty(t, l.Changes, "%s %s", tr.Op, tr.Unit)
				continue
			}
			require.Len(t, l.Changes, 1, "%s %s", tr.Op, tr.Unit)
			c := l.Changes[0]
			assert.Equal(t, "1.13", l.Points[c.At-1].Title)
			assert.Equal(t, "1.14", l.Points[c.At].Title, "1.9 stands before 1.10: by time")
			assert.InDelta(t, slow[tr.Op], math.Expm1(c.Shift), 0.05)
		}
		assert.Empty(t, Suite(trends, DefaultDetector())[0].Changes)
	})
}

// A machine that becomes slower for all is one finding, and no op's.
func TestSharedMovementIsTheSuites(t *testing.T) {
	s := openStore(t, t.TempDir()+"/history.db")
	slow := make(map[string]float64)
	run := aRun(t, 1, 1, 1, nil, nil)
	for _, res := range run.Boots[0].Ops {
		slow[res.Op.ID] = 0.25
	}
	twenty(t, s, slow)
	trends, err := s.Trends(t.Context(), Query{Detector: DefaultDetector()})
	require.NoError(t, err)
	for _, tr := range trends {
		assert.Empty(t, tr.Lines[0].Changes, tr.Op)
		assert.True(t, tr.Lines[0].Common)
	}
	suite := Suite(trends, DefaultDetector())
	require.Len(t, suite, 1)
	require.Len(t, suite[0].Changes, 1)
	assert.Equal(t, "1.14", suite[0].Titles[suite[0].Changes[0].At])
	assert.InDelta(t, 0.25, math.Expm1(suite[0].Changes[0].Shift), 0.05)
}

// Another machine, kernel or workload begins a line of its own.
func TestLinesAreNotJoined(t *testing.T) {
	s := openStore(t, t.TempDir()+"/history.db")
	for day := 1; day <= 12; day++ {
		run := aRun(t, uint64(day), day, 1, Labels{"release": fmt.Sprint(day)}, nil)
		if day > 6 {
			for _, b := range run.Boots {
				b.Run.Kernel = "6.13.0"
			}
		}
		add(t, s, run)
	}
	q := Query{Ops: []string{"disk/seq_read"}, Detector: DefaultDetector()}
	trends, err := s.Trends(t.Context(), q)
	require.NoError(t, err)
	require.Len(t, trends, 1)
	require.Len(t, trends[0].Lines, 2)
	assert.Equal(t, "6.12.1", trends[0].Lines[0].Environment.Kernel)
	assert.Len(t, trends[0].Lines[1].Points, 6)

	q.Across = []string{"kernel"}
	trends, err = s.Trends(t.Context(), q)
	require.NoError(t, err)
	require.Len(t, trends[0].Lines, 1)
	assert.Len(t, trends[0].Lines[0].Points, 12)
}

func TestGroupings(t *testing.T) {
	s := openStore(t, t.TempDir()+"/history.db")
	add(t, s, aRun(t, 1, 1, 1, Labels{"release": "1.0", "commit": "aaa"}, nil))
	add(t, s, aRun(t, 2, 2, 1, Labels{"release": "1.0", "commit": "bbb"}, nil))
	for by, want := range map[Grouping][]string{
		ByRelease: {"1.0"}, ByCommit: {"aaa", "bbb"}, ByDay: {"2026-01-01", "2026-01-02"}, ByRun: {"1 run1", "2 run2"},
	} {
		trends, err := s.Trends(t.Context(), Query{Ops: []string{"startup/python3"}, By: by, Detector: DefaultDetector()})
		require.NoError(t, err)
		var titles []string
		for _, p := range trends[0].Lines[0].Points {
			titles = append(titles, p.Title)
		}
		assert.Equal(t, want, titles, by)
	}
	_, err := s.Trends(t.Context(), Query{Ops: []string{"nothing/*"}})
	assert.ErrorContains(t, err, "no op in the store matches")
	trends, err := s.Trends(t.Context(), Query{Ops: []string{"snapshot/*/create"}, Detector: DefaultDetector()})
	require.NoError(t, err)
	assert.Len(t, trends, 3)
}
