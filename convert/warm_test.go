package convert

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const asWarm = "as fast as the same read repeated, so it says nothing of the disk"

// coldText is a run of one cold read with the given times in ns of each round,
// cold and warm.
func coldText(cache string, rounds ...[2]int64) string {
	const op = "Disk/op=seq_read/size=256MiB"
	var b strings.Builder
	for range rounds {
		fmt.Fprintf(&b, "Benchmark%s 1 100 ns/op\n", op)
	}
	for i, r := range rounds {
		fmt.Fprintf(&b, `#capsem {"type":"samples","op":%q,"round":%d,"elapsed_ns":%d,"warm_ns":%d,"count":1}`+"\n", op, i+1, r[0], r[1])
	}
	fmt.Fprintf(&b, `#capsem {"type":"status","op":%q,"status":"ok","cache":%q}`+"\n", op, cache)
	return b.String()
}

func doubtsOf(t *testing.T, text string) []string {
	t.Helper()
	rep, err := Read(strings.NewReader(text), "text")
	require.NoError(t, err)
	res := rep.Find("disk/seq_read")
	require.NotNil(t, res)
	return res.Note.Doubts
}

func TestColdAsFastAsWarm(t *testing.T) {
	for _, tt := range []struct {
		name, cache string
		rounds      [][2]int64
		doubt       bool
	}{
		{"as fast", "cold", [][2]int64{{100, 100}}, true},
		{"faster than the warm one", "cold", [][2]int64{{90, 100}}, true},
		{"a little slower", "unverified", [][2]int64{{120, 100}}, true},
		{"slower", "cold", [][2]int64{{130, 100}}, false},
		{"one round held up", "cold", [][2]int64{{100, 100}, {900, 100}, {105, 100}}, true},
		{"one round fast", "cold", [][2]int64{{400, 100}, {90, 100}, {400, 100}}, false},
		{"said to be warm already", "warm", [][2]int64{{100, 100}}, false},
		{"not known", "cold", [][2]int64{{100, 0}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doubts := doubtsOf(t, coldText(tt.cache, tt.rounds...))
			if tt.doubt {
				assert.Equal(t, []string{asWarm}, doubts)
			} else {
				assert.Empty(t, doubts)
			}
		})
	}
}

// Noise does not decide: of reads that are the same, with every turn slowed
// down by up to 30 %, nearly all are named, and of those that take twice as
// long none.
func TestColdAsFastAsWarmUnderNoise(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	turn := func(ns float64) int64 { return int64(ns * (1 + 0.3*rng.Float64()*rng.Float64())) }
	named := func(cold float64) (n int) {
		for range 500 {
			warm := min(turn(1e8), turn(1e8), turn(1e8)) // as package guest does it
			if len(doubtsOf(t, coldText("cold", [2]int64{turn(cold), warm}))) > 0 {
				n++
			}
		}
		return n
	}
	assert.Greater(t, named(1e8), 475)
	assert.Zero(t, named(2e8))
}
