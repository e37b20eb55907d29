package gatesim

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// A Recording is boots of one build on a real machine, in the order of time:
// whatever a gate finds between them is a false alarm.
//
// Its file is JSON lines, plain or gzip, one boot a line:
//
//	{"boot": 0, "metrics": {"disk.seq_read_MBps": [995.5, 1205.8], ...}}
//
// A metric has the values of its rounds. What stands before its first dot is
// its category; a name that ends in _MBps, _iops, _per_s or the like is better
// when larger, every other when smaller. Other keys are not read.
type Recording struct {
	Metrics []string // in alphabetical order
	Notes   []string // what was left out, and why
	ops     []Op
	boots   [][][]float64 // boot, metric, round: log, larger is worse
}

// maxBootLine bounds a line: a boot of 200 metrics has 20 KiB.
const maxBootLine = 4 << 20

// ReadRecording reads a recording; name is for errors. It wants at least need
// boots. Metrics that some boot lacks, or that are not above 0 everywhere, are
// left out and noted: their logarithms say nothing.
func ReadRecording(r io.Reader, name string, need int) (*Recording, error) {
	in := bufio.NewReader(r)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		in = bufio.NewReader(z)
	}
	var boots []map[string][]float64
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxBootLine)
	n := 0
	for lines.Scan() {
		n++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var boot struct {
			Metrics map[string][]float64 `json:"metrics"`
		}
		if err := json.Unmarshal(lines.Bytes(), &boot); err != nil {
			return nil, fmt.Errorf("%s:%d: want one boot as a JSON object: %w", name, n, err)
		}
		if len(boot.Metrics) == 0 {
			return nil, fmt.Errorf(`%s:%d: no "metrics"; want {"metrics": {"category.name_unit": [values of the rounds], ...}}`, name, n)
		}
		boots = append(boots, boot.Metrics)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, n+1, err)
	}
	if len(boots) < need {
		return nil, fmt.Errorf("%s: %d boots; a replay needs at least %d", name, len(boots), need)
	}
	rec := &Recording{}
	rec.choose(boots)
	if len(rec.Metrics) == 0 {
		return nil, fmt.Errorf("%s: %w", name, errors.New("no metric that every boot has with values above 0"))
	}
	return rec, nil
}

// choose takes the metrics that every boot has.
func (rec *Recording) choose(boots []map[string][]float64) {
	names := make(map[string]bool)
	for _, b := range boots {
		for m := range b {
			names[m] = true
		}
	}
	groups := make(map[string]int)
	for _, m := range slices.Sorted(maps.Keys(names)) {
		if why := unusable(boots, m); why != "" {
			rec.Notes = append(rec.Notes, fmt.Sprintf("%q is left out: %s", m, why))
			continue
		}
		category, _, _ := strings.Cut(m, ".")
		if _, ok := groups[category]; !ok {
			groups[category] = len(groups)
		}
		rec.Metrics = append(rec.Metrics, m)
		rec.ops = append(rec.ops, Op{Group: groups[category]})
	}
	rec.boots = make([][][]float64, len(boots))
	for i, b := range boots {
		for _, m := range rec.Metrics {
			sign := 1.0
			if moreIsBetter(m) {
				sign = -1
			}
			rounds := make([]float64, len(b[m]))
			for j, v := range b[m] {
				rounds[j] = sign * math.Log(v)
			}
			rec.boots[i] = append(rec.boots[i], rounds)
		}
	}
}

func unusable(boots []map[string][]float64, metric string) string {
	for i, b := range boots {
		if len(b[metric]) == 0 {
			return fmt.Sprintf("boot %d does not have it", i+1)
		}
		for _, v := range b[metric] {
			if !(v > 0) {
				return fmt.Sprintf("boot %d has the value %v", i+1, v)
			}
		}
	}
	return ""
}

func moreIsBetter(metric string) bool {
	for _, unit := range []string{"bps", "iops", "per_s", "b/s", "req/s", "rps"} {
		if strings.HasSuffix(strings.ToLower(metric), unit) {
			return true
		}
	}
	return false
}

// Boots returns how many boots there are.
func (rec *Recording) Boots() int { return len(rec.boots) }

// Draw returns a release of a build against itself whose boots are the
// recording's, in their order from a random place on. It has boots for a
// measurement of n at most.
func (rec *Recording) Draw(n int, sequential bool) func(*rand.Rand) *Release {
	return func(rng *rand.Rand) *Release {
		at := rng.IntN(len(rec.boots) - n + 1)
		return &Release{
			Ops: rec.ops, Sequential: sequential, rng: rng,
			boot: func(float64) [][]float64 {
				at++
				return cloneBoot(rec.boots[at-1])
			},
		}
	}
}

func cloneBoot(boot [][]float64) [][]float64 {
	out := make([][]float64, len(boot))
	for i, rounds := range boot {
		out[i] = slices.Clone(rounds)
	}
	return out
}
