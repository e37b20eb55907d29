package main

import (
	"errors"
	"testing"

	"github.com/capsem/capsem-bench/tools/internal/reference"
	"github.com/stretchr/testify/assert"
)

func TestTargets(t *testing.T) {
	for _, tt := range []struct {
		target       target
		ours, theirs float64
		result       string
		met          bool
	}{
		{target{timesAtLeast, 1.3}, 13, 10, "1.30 x", true},
		{target{timesAtLeast, 1.3}, 12, 10, "1.20 x", false},
		{target{timesAtMost, 1}, 10, 10, "1.00 x", true},
		{target{timesAtMost, 1}, 11, 10, "1.10 x", false},
		{target{moreAtMost, 20}, 21, 1, "+20.00", true},
		{target{moreAtMost, 20}, 22, 1, "+21.00", false},
		{target{atMost, 40}, 40, 0, "40.00", true},
		{target{atMost, 40}, 41, 0, "41.00", false},
	} {
		r := row{line{target: tt.target}, reference.Result{Ours: []float64{tt.ours}, Theirs: []float64{tt.theirs}}, nil}
		assert.Equal(t, tt.result, r.target.result(r.value()))
		assert.Equal(t, tt.met, r.verdict() == met, "%v %v", tt.target, tt.ours)
		r.err = errors.New("broken")
		assert.False(t, r.verdict() == met)
	}
}
