package contract

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestPathsEscape(t *testing.T) {
	for path, want := range map[string]string{
		"plain": "plain", "café.txt": "café.txt", "caf\xe9.txt": `caf\xe9.txt`, "caf\xe8.txt": `caf\xe8.txt`,
		`a\b`: `a\b`, `a\x41`: `a\x41`, `a\xe9`: `a\x5cxe9`, `a\xE9`: `a\x5cxE9`, `\x5c`: `\x5cx5c`, "\xff\\": `\xff\`, "�": "�",
		"a\nb": "a\nb", `a\x1b`: `a\x5cx1b`,
	} {
		assert.Equal(t, want, EscapePath(path))
		assert.Equal(t, path, UnescapePath(want), want)
	}
	assert.Equal(t, `a\x1b[31m\xe2\x80\xaeb\xff`, VisiblePath("a\x1b[31m\u202eb\xff"))
}

// Every name has one spelling, and every spelling its name.
func FuzzEscapePath(f *testing.F) {
	for _, path := range []string{"a", "caf\xe9", `\x5c\xe9`, `\\xff`, `\x`, "\\x\xe9"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		text := EscapePath(path)
		assert.True(t, utf8.ValidString(text))
		assert.Equal(t, path, UnescapePath(text))
		assert.Equal(t, path, UnescapePath(VisiblePath(path)))
	})
}
