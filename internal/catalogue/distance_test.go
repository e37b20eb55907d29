package catalogue

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"count", "count", 0},
		{"counts", "count", 1},
		{"sandox", "sandbox", 1},
		{"cuont", "count", 1},
		{"lst", "list", 1},
		{"kitten", "sitting", 3},
		{"ca", "abc", 3},
	} {
		assert.Equal(t, tt.want, Distance(tt.a, tt.b), tt.a+" "+tt.b)
		assert.Equal(t, tt.want, Distance(tt.b, tt.a), tt.b+" "+tt.a)
	}
}
