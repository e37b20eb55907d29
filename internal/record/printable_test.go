package record

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPrintable(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{" two\nlines\tand tab ", 100, "two lines and tab"},
		{"bell\a esc\x1b[31m nul\x00 c1\u009b del\x7f", 100, "bell esc[31m nul c1 del"},
		{"not \xff utf-8", 100, "not  utf-8"},
		{"line\u2028separator", 100, "lineseparator"},
		{strings.Repeat("x", 20), 10, "xxxxxxx..."},
		{"üüüüü", 8, "üü..."},
		{"", 10, ""},
	} {
		got := Printable(tt.in, tt.limit)
		assert.Equal(t, tt.want, got)
		assert.LessOrEqual(t, len(got), tt.limit)
	}
}
