package layout

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		in          string
		w           int
		middle, end string
	}{
		{"short", 5, "short", "short"},
		{"/usr/lib/python3", 10, "/us...hon3", "/usr/lib/…"},
		{"大小大小大小", 9, "大...大小", "大小大小…"},
		{"abcdef", 3, "...", "ab…"},
		{"abcdef", 1, ".", "…"},
		{"abcdef", -1, "", ""},
	} {
		assert.Equal(t, c.middle, ShortenMiddle(c.in, c.w), "%s to %d", c.in, c.w)
		assert.Equal(t, c.end, ShortenEnd(c.in, c.w), "%s to %d", c.in, c.w)
		assert.LessOrEqual(t, Width(ShortenMiddle(c.in, c.w)), max(c.w, 0))
		assert.LessOrEqual(t, Width(ShortenEnd(c.in, c.w)), max(c.w, 0))
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		in     string
		w      int
		indent string
		want   []string
	}{
		{"one two three", 7, "", []string{"one two", "three"}},
		{"[1] cache: warm", 10, "    ", []string{"[1] cache:", "    warm"}},
		{"  kept lead", 7, "", []string{"  kept", "lead"}},
		{"abcdefgh ij", 4, " ", []string{"abcd", " efg", " h", " ij"}},
		{"大小大小", 4, "", []string{"大小", "大小"}},
		{"大", 1, "", []string{"大"}},
		{"", 10, "", nil},
	} {
		assert.Equal(t, c.want, Wrap(c.in, c.w, c.indent), "%q to %d", c.in, c.w)
	}
}

func TestWrapCommand(t *testing.T) {
	const s = "capsem-bench ab --base main --cand . snapshot"
	assert.Equal(t, []string{s}, WrapCommand(s, 80, "  "))
	assert.Equal(t, []string{`capsem-bench ab --base main \`, "  --cand . snapshot"}, WrapCommand(s, 40, "  "))
	assert.Equal(t, []string{`capsem-bench ab \`, `  --base main \`, "  --cand . snapshot"}, WrapCommand(s, 10, "  "))
}

func TestPaint(t *testing.T) {
	assert.Equal(t, "\x1b[31mx\x1b[0m", Paint("x", Red, true))
	assert.Equal(t, 1, Width(Paint("x", Red, true)))
	for _, plain := range []string{Paint("x", Red, false), Paint("x", Plain, true)} {
		assert.Equal(t, "x", plain)
	}
	assert.Empty(t, Paint("", Red, true))
}

func TestASCII(t *testing.T) {
	for in, want := range map[string]string{
		"┌──┬─┐\n│ab│c│\n└──┴─┘": "+--+-+\n|ab|c|\n+--+-+",
		"12.3 µs ±3% 1.2×": "12.3 us ~3% 1.2x",
		"long.lo…":         "long.lo~",
		"▁▂▃▄▅▆▇█":         "_.-~=+*#",
		"大é":               "???",
		"plain":            "plain",
	} {
		assert.Equal(t, want, ASCII(in))
		assert.Equal(t, Width(in), Width(ASCII(in)))
	}
}
