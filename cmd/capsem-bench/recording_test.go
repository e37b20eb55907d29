package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/stretchr/testify/require"
)

// A recording is boots of one build in the order of time, to be printed again
// by testdata/replay-build.
type recording struct {
	ops   []catalogue.Op // with the units that the boots have
	boots []recordedBoot
}

// A recordedBoot has the values of the rounds of every metric of every op.
type recordedBoot [][]metricRounds

type metricRounds struct {
	unit   string
	values []float64
}

// modelled makes a recording of the catalogue's ops with the noise of a shared
// machine: an op's boots have a standard deviation of 1 to 10 %, its rounds of 1
// to 15 %; 0.3 of the variance between boots is common to all ops and remembers
// the boot before, of the rest 2/7 are common to the category. One boot in
// twenty is 1.5 to 3 times slower, in all ops or in one category, and one
// round in fifty 1.2 to 2 times.
func modelled(boots, rounds int, seed uint64) *recording {
	const memory = 0.8
	rng := rand.New(rand.NewPCG(seed, seed))
	rec := &recording{ops: catalogue.Ops(catalogue.Settings{})}
	between, within := make([]float64, len(rec.ops)), make([]float64, len(rec.ops))
	for i := range rec.ops {
		between[i] = math.Exp(math.Log(0.01) + rng.Float64()*math.Log(10))
		within[i] = math.Exp(math.Log(0.01) + rng.Float64()*math.Log(15))
	}
	common := rng.NormFloat64()
	for range boots {
		common = memory*common + math.Sqrt(1-memory*memory)*rng.NormFloat64()
		group := make(map[catalogue.Category]float64)
		for _, c := range catalogue.Categories() {
			group[c] = rng.NormFloat64()
		}
		slow, only := 0.0, catalogue.Category("")
		if rng.Float64() < 0.05 {
			slow = math.Log(1.5 + 1.5*rng.Float64())
			if rng.IntN(2) == 0 {
				only = catalogue.Categories()[rng.IntN(len(group))]
			}
		}
		var b recordedBoot
		for i, op := range rec.ops {
			var metrics []metricRounds
			for _, unit := range op.Primary {
				at := between[i] * (math.Sqrt(0.3)*common + math.Sqrt(0.2)*group[op.Category] + math.Sqrt(0.5)*rng.NormFloat64())
				if only == "" || only == op.Category {
					at += slow
				}
				m := metricRounds{unit: unit}
				for range rounds {
					v := at + within[i]*rng.NormFloat64()
					if rng.Float64() < 0.02 {
						v += math.Log(1.2 + 0.8*rng.Float64())
					}
					if isRate(unit) {
						v = -v
					}
					m.values = append(m.values, 1e7*float64(i+1)*math.Exp(v))
				}
				metrics = append(metrics, m)
			}
			b = append(b, metrics)
		}
		rec.boots = append(rec.boots, b)
	}
	return rec
}

func isRate(unit string) bool { return catalogue.UnitOf(unit).Kind == catalogue.Rate }

// readRecording reads boots of any machine: JSON lines, plain or gzip, of one
// boot each, {"metrics": {"category.name_unit": [values of the rounds]}}. What
// ends in _MBps, _iops or _per_s is a rate, all else a time.
func readRecording(t *testing.T, name string) *recording {
	t.Helper()
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		in, err = gzip.NewReader(f)
		require.NoError(t, err)
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 4<<20)
	rec := new(recording)
	var names []string
	for lines.Scan() {
		var boot struct{ Metrics map[string][]float64 }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &boot), name)
		if names == nil {
			names = slices.Sorted(maps.Keys(boot.Metrics))
			rec.ops = recordedOps(names)
		}
		var b recordedBoot
		for i, metric := range names {
			unit := rec.ops[i].Primary[0]
			m := metricRounds{unit: unit}
			for _, v := range boot.Metrics[metric] {
				m.values = append(m.values, 1e6*v)
			}
			b = append(b, []metricRounds{m})
		}
		rec.boots = append(rec.boots, b)
	}
	require.NoError(t, lines.Err())
	return rec
}

// recordedOps gives metrics of any names a place in the catalogue's categories,
// in the order in which theirs come.
func recordedOps(names []string) []catalogue.Op {
	var categories []catalogue.Category
	for _, op := range catalogue.Ops(catalogue.Settings{}) {
		if !slices.Contains(categories, op.Category) {
			categories = append(categories, op.Category)
		}
	}
	places := make(map[string]int)
	var out []catalogue.Op
	for _, name := range names {
		group, leaf, _ := strings.Cut(name, ".")
		if _, ok := places[group]; !ok {
			places[group] = len(places)
		}
		c := categories[places[group]%len(categories)]
		unit := "ns/op"
		for _, rate := range []string{"bps", "iops", "per_s"} {
			if strings.HasSuffix(strings.ToLower(leaf), rate) {
				unit = "B/s"
			}
		}
		id := c.Benchmark() + "/metric=" + group + "." + leaf
		out = append(out, catalogue.Op{Category: c, ID: id, Name: id, Primary: []string{unit}})
	}
	return out
}

// write makes the files that testdata/replay-build reads.
func (rec *recording) write(t *testing.T, dir string) {
	t.Helper()
	for n, boot := range rec.boots {
		var out bytes.Buffer
		for i, metrics := range boot {
			for _, m := range metrics {
				rate := 0
				if isRate(m.unit) {
					rate = 1
				}
				fmt.Fprintf(&out, "%s %s %d", rec.ops[i].Name, m.unit, rate)
				for _, v := range m.values {
					fmt.Fprintf(&out, " %.6g", v)
				}
				out.WriteByte('\n')
			}
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, strconv.Itoa(n+1)), out.Bytes(), 0o644))
	}
}
