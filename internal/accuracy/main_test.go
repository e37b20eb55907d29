package main

import (
	"errors"
	"testing"

	"github.com/capsem/capsem-bench/internal/rivals"
	"github.com/stretchr/testify/assert"
)

func TestVerdicts(t *testing.T) {
	steady := []float64{100, 101, 102}
	for _, tt := range []struct {
		name         string
		ours, theirs []float64
		err          error
		verdict      string
		status       int
	}{
		{"the same", steady, steady, nil, "agrees", 0},
		{"a little less than the least tolerance", []float64{104, 105, 106}, steady, nil, "agrees", 0},
		{"faster than can be", []float64{200, 201, 202}, steady, nil, "differs", exitDiffers},
		{"slower", steady, []float64{200, 201, 202}, nil, "differs", exitDiffers},
		{"noise", []float64{50, 100, 150}, []float64{60, 100, 140}, nil, "too noisy", exitUnfit},
		{"no figure", nil, nil, errors.New("broken"), "failed", exitDiffers},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := row{duel{}, rivals.Result{Ours: tt.ours, Theirs: tt.theirs}, tt.err}
			assert.Equal(t, tt.verdict, r.verdict())
			assert.Equal(t, tt.status, status([]row{r}))
		})
	}
}
