package main

import (
	"errors"
	"testing"

	"github.com/capsem/capsem-bench/tools/internal/reference"
	"github.com/stretchr/testify/assert"
)

func TestAgreement(t *testing.T) {
	steady := []float64{100, 101, 102}
	for _, tt := range []struct {
		name         string
		ours, theirs []float64
		err          error
		verdict      verdict
		status       int
	}{
		{"the same", steady, steady, nil, met, 0},
		{"a little less than the least tolerance", []float64{104, 105, 106}, steady, nil, met, 0},
		{"faster than can be", []float64{200, 201, 202}, steady, nil, missed, reference.ExitFailed},
		{"slower", steady, []float64{200, 201, 202}, nil, missed, reference.ExitFailed},
		{"noise", []float64{50, 100, 150}, []float64{60, 100, 140}, nil, tooNoisy, reference.ExitUnfit},
		{"no figure", nil, nil, errors.New("broken"), failed, reference.ExitFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := row{line{target: target{kind: agrees}}, reference.Result{Ours: tt.ours, Theirs: tt.theirs}, tt.err}
			assert.Equal(t, tt.verdict, r.verdict())
			assert.Equal(t, tt.status, status([]row{r}))
		})
	}
}
