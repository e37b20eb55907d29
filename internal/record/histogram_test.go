package record

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func times(n int) []int64 {
	rng := rand.New(rand.NewPCG(1, 1))
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(60_000 * math.Exp(0.5*rng.NormFloat64()))
		if i%100 == 0 {
			out[i] *= 40
		}
	}
	return out
}

// Percentiles are those of the values, to the digits that are kept; no round
// is longer than a few KiB.
func TestHistogram(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 100, 10_000, 300_000} {
		values := times(n)
		text := HistogramOf(values)
		require.NotEmpty(t, text)
		require.LessOrEqual(t, len(text), MaxHistogram, "%d values", n)
		h, err := ParseHistogram(text)
		require.NoError(t, err)
		assert.Equal(t, int64(n), h.TotalCount())
		slices.Sort(values)
		again, err := ParseHistogram(HistogramFrom(h))
		require.NoError(t, err)
		assert.Equal(t, int64(n), again.TotalCount())
		for _, p := range []float64{50, 95, 99} {
			want := values[max(0, int(math.Ceil(p/100*float64(n)))-1)]
			assert.InEpsilon(t, want, h.ValueAtPercentile(p), 0.011, "p%v of %d", p, n)
			assert.InEpsilon(t, want, again.ValueAtPercentile(p), 0.021, "p%v of %d, again", p, n)
		}
		t.Logf("%d values: %d bytes, %d digits", n, len(text), h.SignificantFigures())
	}
	assert.Empty(t, HistogramOf(nil))
	assert.Empty(t, HistogramFrom(hdrhistogram.New(1, LongestNS, 3)))
	h, err := ParseHistogram(HistogramOf([]int64{-5, 0, math.MaxInt64}))
	require.NoError(t, err)
	assert.Equal(t, int64(3), h.TotalCount(), "what is out of range counts as its end")
}

// packed is a histogram with any head.
func packed(cookie, digits int32, lowest, highest int64, counts []byte) string {
	var plain, all bytes.Buffer
	for _, v := range []any{cookie, int32(len(counts)), int32(0), digits, lowest, highest, 1.0} {
		_ = binary.Write(&plain, binary.BigEndian, v)
	}
	plain.Write(counts)
	var deflated bytes.Buffer
	z := zlib.NewWriter(&deflated)
	_, _ = z.Write(plain.Bytes())
	_ = z.Close()
	_ = binary.Write(&all, binary.BigEndian, []int32{0x1c849304 | 0x10, int32(deflated.Len())})
	all.Write(deflated.Bytes())
	return base64.StdEncoding.EncodeToString(all.Bytes())
}

// A histogram is a guest's word: no head of it makes a reader loop or fill its
// memory.
func TestHostileHistograms(t *testing.T) {
	t.Parallel()
	const cookie = 0x1c849303 | 0x10
	_, err := ParseHistogram(packed(cookie, 3, 1, LongestNS, []byte{2}))
	require.NoError(t, err, "the head that is ours")
	for name, text := range map[string]string{
		"empty": "", "no base64": "%%%", "short": "AAAA", "no zlib": base64.StdEncoding.EncodeToString(make([]byte, 100)),
		"endless buckets": packed(cookie, 3, 1<<62, math.MaxInt64, []byte{2}),
		"five digits":     packed(cookie, 5, 1, math.MaxInt64, []byte{2}),
		"no count":        packed(cookie, 3, 1, LongestNS, nil),
		"another kind":    packed(7, 3, 1, LongestNS, []byte{2}),
		"a bomb":          packed(cookie, 3, 1, LongestNS, make([]byte, 2<<20)),
		"zeros beyond":    packed(cookie, 3, 1, LongestNS, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
		"too long":        strings.Repeat("A", MaxHistogram+4),
	} {
		_, err := ParseHistogram(text)
		require.ErrorIs(t, err, ErrHistogram, name)
	}
}

func FuzzParseHistogram(f *testing.F) {
	f.Add(HistogramOf(times(10)))
	f.Add(packed(0x1c849303|0x10, 3, 1, LongestNS, []byte{2, 1, 4}))
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHistogram(text)
		if err == nil && (h.TotalCount() <= 0 || h.Max() < 0) {
			t.Fatalf("%d values, max %d", h.TotalCount(), h.Max())
		}
	})
}
