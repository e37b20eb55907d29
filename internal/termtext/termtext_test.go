package termtext

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The kinds of text that must not reach a terminal, as a cell and as a block.
var kinds = []struct{ name, in, cell, block string }{
	{"ASCII", "rand_read_4k: 12 ms", "rand_read_4k: 12 ms", "rand_read_4k: 12 ms"},
	{"letters of any script", "größe 大小 גודל ❤", "größe 大小 גודל ❤", "größe 大小 גודל ❤"},
	{"lines", "a\nb\r\nc\rd", `a\nb\r\nc\rd`, "a\nb\nc\\rd"},
	{"tab", "a\tb", `a\tb`, "a    b"},
	{"C0 control", "\x1b[31mred\x07\x00", `\x1b[31mred\a\x00`, `\x1b[31mred\a\x00`},
	{"backspace and DEL", "ok\b\bno\x7f", `ok\b\bno\x7f`, `ok\b\bno\x7f`},
	{"C1 control", "\u009b5m\u0085", `\u009b5m\u0085`, `\u009b5m\u0085`},
	{"C1 as a byte", "\x9b5m\xff", `\x9b5m\xff`, `\x9b5m\xff`},
	{"half a character", "ab\xe2\x82", `ab\xe2\x82`, `ab\xe2\x82`},
	{"overlong and surrogate", "\xc0\xaf\xed\xa0\x80", `\xc0\xaf\xed\xa0\x80`, `\xc0\xaf\xed\xa0\x80`},
	{"replacement character", "a\uFFFDb", `a\ufffdb`, `a\ufffdb`},
	{"bidi", "\u202Etxt.exe\u202C\u2066\u061C", `\u202etxt.exe\u202c\u2066\u061c`, `\u202etxt.exe\u202c\u2066\u061c`},
	{"zero width", "a\u200Bb\u200D\u2060\uFEFF", `a\u200bb\u200d\u2060\ufeff`, `a\u200bb\u200d\u2060\ufeff`},
	{"invisible letters and marks", "a\u034F\u115F\u3164\uFE0F\U000E0100", `a\u034f\u115f\u3164\ufe0f\U000e0100`, `a\u034f\u115f\u3164\ufe0f\U000e0100`},
	{"tags", "\U000E0041", `\U000e0041`, `\U000e0041`},
	{"line and paragraph separator", "a\u2028b\u2029", `a\u2028b\u2029`, `a\u2028b\u2029`},
	{"blanks that are no space", "a\u00A0b\u3000", `a\u00a0b\u3000`, `a\u00a0b\u3000`},
	{"soft hyphen", "a\u00ADb", `a\u00adb`, `a\u00adb`},
	{"private and unassigned", "\uE000\U0010FFFF\u0378", `\ue000\U0010ffff\u0378`, `\ue000\U0010ffff\u0378`},
	{"combining mark", "e\u0301", "e\u0301", "e\u0301"},
	{"mark with nothing to stand on", "\u0301a \u0301", `\u0301a \u0301`, `\u0301a \u0301`},
	{"mark at the start of a line", "a\n\u0301", `a\n\u0301`, "a\n\\u0301"},
	{"pile of marks", "e" + strings.Repeat("\u0301", 6), "e" + strings.Repeat("\u0301", 4) + `\u0301\u0301`, "e" + strings.Repeat("\u0301", 4) + `\u0301\u0301`},
}

func TestEscapedKinds(t *testing.T) {
	for _, k := range kinds {
		assert.Equal(t, k.cell, Cell(k.in), "%s as a cell", k.name)
		assert.Equal(t, k.block, Block(k.in), "%s as a block", k.name)
	}
}

// A stream is the same however it is cut.
func TestWriterCutAnywhere(t *testing.T) {
	for _, k := range kinds {
		for at := range len(k.in) + 1 {
			var out bytes.Buffer
			w := NewWriter(&out)
			for _, part := range []string{k.in[:at], k.in[at:]} {
				n, err := w.Write([]byte(part))
				require.NoError(t, err)
				assert.Equal(t, len(part), n)
			}
			w.Flush()
			assert.Equal(t, k.block, out.String(), "%s cut at %d", k.name, at)
		}
	}
	n, err := NewWriter(failing{}).Write([]byte("x"))
	require.NoError(t, err, "nobody looks on")
	assert.Equal(t, 1, n)
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, assert.AnError }

func TestShort(t *testing.T) {
	assert.Equal(t, "abc", Short("abc", 3))
	assert.Equal(t, "ab...", Short("abc", 2))
	assert.Equal(t, `大\n...`, Short("大\n小", 2))
	assert.Equal(t, `\x9b\x9b...`, Short("\x9b\x9b\x9b", 2))
	assert.Equal(t, "", Short("", 0))
}

// A document that JSON has escaped means the same, and shows nothing raw.
func TestJSONKinds(t *testing.T) {
	for _, k := range kinds {
		doc, err := json.MarshalIndent(map[string]string{k.in: k.in}, "", "  ")
		require.NoError(t, err)
		var want, got any
		require.NoError(t, json.Unmarshal(doc, &want))
		safe := JSON(doc)
		require.NoError(t, json.Unmarshal(safe, &got), k.name)
		assert.Equal(t, want, got, k.name)
		for _, r := range string(safe) {
			assert.True(t, r == '\n' || Visible(r), "%s: %U in %s", k.name, r, safe)
		}
	}
}

func TestPlural(t *testing.T) {
	assert.Equal(t, "0 boots", Plural(0, "boot"))
	assert.Equal(t, "1 boot", Plural(int64(1), "boot"))
	assert.Equal(t, "2 boots", Plural(2, "boot"))
}

func FuzzEscape(f *testing.F) {
	for _, k := range kinds {
		f.Add(k.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Cell(s) {
			if !Visible(r) {
				t.Fatalf("Cell(%q) has %U", s, r)
			}
		}
		for _, r := range Block(s) {
			if r != '\n' && !Visible(r) {
				t.Fatalf("Block(%q) has %U", s, r)
			}
		}
		if again := Cell(Cell(s)); again != Cell(s) {
			t.Fatalf("Cell(%q) is not stable: %q", s, again)
		}
		if !utf8.ValidString(Block(s)) {
			t.Fatalf("Block(%q) is not UTF-8", s)
		}
		var out bytes.Buffer
		w := NewWriter(&out)
		for i := range len(s) {
			_, _ = w.Write([]byte{s[i]})
		}
		w.Flush()
		if out.String() != Block(s) {
			t.Fatalf("%q byte by byte: %q, want %q", s, out.String(), Block(s))
		}
	})
}
