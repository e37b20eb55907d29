package main

import (
	"io"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/history"
	"github.com/stretchr/testify/assert"
)

// A detector that takes everything for a change is beyond the limits.
func TestLimitsCanFail(t *testing.T) {
	t.Parallel()
	d := history.DefaultDetector()
	d.Alpha, d.Wander, d.Least = 1, 0, 0
	assert.Equal(t, 1, run(io.Discard, d, 10, 1))
}

// The draws are few: just _trend-check holds the rates to their limits with 400.
func TestShippedDetectorIsWithinItsLimits(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	assert.Zero(t, run(&out, history.DefaultDetector(), 20, 2), "%s", &out)
}
