package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A measured is what one machine measured of one release.
type measured struct {
	host, cpu, release string
	day, boots         int
	slow               float64
}

// addMeasured adds a run with boots of one machine, whose speed is its own.
func addMeasured(t *testing.T, s *Store, speed map[string]float64, list []measured) {
	t.Helper()
	for n, m := range list {
		maker := boottest.New(uint64(n + 1))
		maker.Boot, maker.Round = 0.004, 0.001
		maker.Slow = make(map[string]float64)
		for _, op := range maker.Ops {
			maker.Slow[op.ID] = (1+speed[m.host])*(1+m.slow) - 1
		}
		var docs []Document
		for i := range m.boots {
			b := maker.Next(boottest.Cand, 1)
			b.Mark.Side, b.Mark.Machine, b.Run.CPU = "", m.host, m.cpu
			b.Mark.Time = float64(time.Date(2026, 1, m.day, 10, i, n, 0, time.UTC).Unix())
			docs = append(docs, Document{fmt.Sprintf("boot-%03d.txt", i+1), b.Text()})
		}
		run, err := Read(fmt.Sprint("run ", n), Labels{"release": m.release}, docs)
		require.NoError(t, err)
		add(t, s, run)
	}
}

func overallOf(t *testing.T, s *Store, op string) []Line {
	t.Helper()
	trends, err := s.Trends(t.Context(), Query{Ops: []string{op}, Detector: DefaultDetector()})
	require.NoError(t, err)
	require.Len(t, trends, 1)
	return trends[0].Overall
}

// A fleet whose machines differ by a factor of two and take turns has a level
// line: neither a release that only the slow machine measured nor a machine
// with many boots moves it.
func TestOverallLineWeighsMachines(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		speed := map[string]float64{"a": 0, "b": 0.5, "c": 1}
		var list []measured
		for day := 1; day <= 16; day++ {
			slow := 0.0
			if day >= 10 {
				slow = 0.3
			}
			for i, host := range []string{"a", "b", "c"} {
				if (day+i)%3 == 0 { // each is away on every third day
					continue
				}
				boots := 1
				if host == "c" && day%2 == 0 {
					boots = 6
				}
				list = append(list, measured{host, "CPU of " + host, fmt.Sprint("1.", day), day, boots, slow})
			}
		}
		addMeasured(t, s, speed, list)
		lines := overallOf(t, s, "snapshot/100/create")
		require.Len(t, lines, 1)
		l := lines[0]
		assert.Equal(t, 3, l.Machines)
		assert.Equal(t, "3 machines, each counted once", l.Where())
		require.Len(t, l.Points, 16)
		first := l.Points[0].Median
		for i, p := range l.Points {
			want := 0.0
			if i >= 9 {
				want = 0.3
			}
			assert.InDelta(t, want, p.Median/first-1, 0.03, p.Title)
			assert.Len(t, p.Values, 2, "machines, not boots")
		}
	})
}

// The level of a fleet is the geometric mean of its machines' levels.
func TestOverallLevel(t *testing.T) {
	s := openStore(t, t.TempDir()+"/history.db")
	var list []measured
	for day := 1; day <= 4; day++ {
		list = append(list, measured{"a", "x", fmt.Sprint(day), day, 1, 0}, measured{"b", "x", fmt.Sprint(day), day, 5, 0})
	}
	addMeasured(t, s, map[string]float64{"b": 3}, list)
	trends, err := s.Trends(t.Context(), Query{Ops: []string{"disk/seq_read"}, Detector: DefaultDetector()})
	require.NoError(t, err)
	require.Len(t, trends[0].Lines, 1, "one kind of machine")
	require.Len(t, trends[0].Overall, 1, "but two machines")
	values := trends[0].Lines[0].Points[0].Values
	require.Len(t, values, 6)
	fast, slow := values[0], values[0]
	for _, v := range values {
		fast, slow = min(fast, v), max(slow, v)
	}
	assert.InEpsilon(t, math.Sqrt(fast*slow), trends[0].Overall[0].Points[0].Median, 0.02)
}

// Machines that share no release say nothing of each other: one line each. One
// machine with another kernel is still one.
func TestOverallJoinsOnlyWhatMet(t *testing.T) {
	s := openStore(t, t.TempDir()+"/history.db")
	speed := map[string]float64{"c": 1, "d": 1}
	addMeasured(t, s, speed, []measured{
		{"a", "x", "1", 1, 1, 0},
		{"b", "y", "1", 1, 1, 0},
		{"b", "y", "2", 2, 1, 0},
		{"c", "x", "3", 3, 1, 0},
		{"d", "y", "3", 3, 1, 0},
		{"d", "y", "4", 4, 1, 0},
		{"e", "x", "5", 5, 1, 0},
	})
	lines := overallOf(t, s, "startup/python3")
	require.Len(t, lines, 2)
	for i, want := range [][]string{{"1", "2"}, {"3", "4"}} {
		var titles []string
		for _, p := range lines[i].Points {
			titles = append(titles, p.Title)
		}
		assert.Equal(t, want, titles)
		assert.Equal(t, 2, lines[i].Machines)
	}

	alone := openStore(t, t.TempDir()+"/history.db")
	for day := 1; day <= 4; day++ {
		run := aRun(t, uint64(day), day, 2, Labels{"release": fmt.Sprint(day / 2)}, nil)
		for i, b := range run.Boots {
			b.Run.Kernel = fmt.Sprint("6.", i)
		}
		add(t, alone, run)
	}
	assert.Empty(t, overallOf(t, alone, "startup/python3"), "a machine before and after an update of its kernel")
}

// The fit finds the levels that made the cells, whichever are missing.
func TestLevelsOfMachines(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	f := &fleet{machines: make([]machine, 8), releases: make([]Point, 30)}
	want := make([]float64, len(f.machines))
	for i := range want {
		want[i] = rng.NormFloat64()
	}
	for j := range f.releases { // a chain: release j has machines j/4 and the next
		level := rng.NormFloat64()
		for _, i := range []int{j / 4, min(j/4+1, 7)} {
			f.cells = append(f.cells, cell{i, j, want[i] + level})
		}
	}
	got := f.levels()
	for i := range want {
		assert.InDelta(t, want[i]-want[0], got[i]-got[0], 1e-5, "machine %d", i)
	}
}
