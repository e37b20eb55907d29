package record

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A histogram of a samples line is an HdrHistogram in its own encoding: V2,
// compressed, in base64, which the libraries of other languages read. It has
// all single operations of a round, in ns.
const (
	// MaxHistogram bounds the text of one: 10,000 accesses take 1 to 3 KiB.
	MaxHistogram = 4 << 10
	// LongestNS is the longest time that a histogram tells apart, 15 minutes; a longer one
	// counts as that.
	LongestNS = 900_000_000_000
	// histogramDigits are the decimal digits to which times are told apart.
	histogramDigits = 3
)

// HistogramOf returns the histogram of single times, or "" for none. Where
// three digits do not fit MaxHistogram, it has two, or one.
func HistogramOf(ns []int64) string {
	return encodeHistogram(len(ns) > 0, func(h *hdrhistogram.Histogram) {
		for _, v := range ns {
			_ = h.RecordValue(withinHistogram(v)) // in range, so it cannot fail
		}
	})
}

// HistogramFrom is HistogramOf of times that are in a histogram already.
func HistogramFrom(from *hdrhistogram.Histogram) string {
	return encodeHistogram(from.TotalCount() > 0, func(h *hdrhistogram.Histogram) {
		for _, bar := range from.Distribution() {
			if bar.Count > 0 {
				_ = h.RecordValues(withinHistogram(bar.To), bar.Count)
			}
		}
	})
}

func withinHistogram(ns int64) int64 { return max(1, min(ns, LongestNS)) }

func encodeHistogram(any bool, fill func(*hdrhistogram.Histogram)) string {
	if !any {
		return ""
	}
	for digits := histogramDigits; digits > 0; digits-- {
		h := hdrhistogram.New(1, LongestNS, digits)
		fill(h)
		text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		if err == nil && len(text) <= MaxHistogram {
			return string(text)
		}
	}
	return ""
}

// ErrHistogram is returned for what no version of this package wrote.
var ErrHistogram = errors.New("not a histogram of a samples line")

// ParseHistogram reads a histogram that a guest wrote. The library trusts the
// head of what it decodes, which can make it loop for ever or take memory
// without bound; so the head is held to what HistogramOf writes before.
func ParseHistogram(text string) (*hdrhistogram.Histogram, error) {
	if len(text) > MaxHistogram {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrHistogram, MaxHistogram)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) < 8 {
		return nil, ErrHistogram
	}
	z, err := zlib.NewReader(bytes.NewReader(data[8:]))
	if err != nil {
		return nil, ErrHistogram
	}
	const most = 256 << 10 // all counts of three digits, and more
	plain, err := io.ReadAll(io.LimitReader(z, most+1))
	if err != nil || len(plain) > most {
		return nil, ErrHistogram
	}
	var head struct {
		Cookie, Length, Offset, Digits int32
		Lowest, Highest                int64
		Ratio                          float64
	}
	if err := binary.Read(bytes.NewReader(plain), binary.BigEndian, &head); err != nil {
		return nil, ErrHistogram
	}
	if head.Offset != 0 || head.Lowest != 1 || head.Highest != LongestNS || head.Digits < 1 || head.Digits > histogramDigits {
		return nil, ErrHistogram
	}
	h, err := hdrhistogram.Decode([]byte(text))
	if err != nil || h.TotalCount() <= 0 {
		return nil, ErrHistogram
	}
	return h, nil
}
