package report

import (
	"math"
	"slices"
)

func expm1(x float64) float64 { return math.Expm1(x) }

func boolIndex(b bool) int {
	if b {
		return 1
	}
	return 0
}

func sortBy[T any](s []T, less func(a, b T) bool) {
	slices.SortStableFunc(s, func(a, b T) int {
		switch {
		case less(a, b):
			return -1
		case less(b, a):
			return 1
		}
		return 0
	})
}
