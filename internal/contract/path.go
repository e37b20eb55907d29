package contract

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// EscapePath returns a file name as JSON can carry it. A name is bytes, JSON is
// UTF-8, and a replacement character names no file. So a byte that is no UTF-8
// is written as \xNN, and a backslash that would be read as the beginning of
// one as \x5c. Names of valid UTF-8 without such a backslash stay as they are.
func EscapePath(path string) string {
	if utf8.ValidString(path) && !strings.Contains(path, `\x`) {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); {
		r, n := utf8.DecodeRuneInString(path[i:])
		_, isEscape := escaped(path[i:])
		switch {
		case r == utf8.RuneError && n == 1, isEscape:
			fmt.Fprintf(&b, `\x%02x`, path[i])
			n = 1
		default:
			b.WriteString(path[i : i+n])
		}
		i += n
	}
	return b.String()
}

// VisiblePath is EscapePath for people: what does not print, or acts on a
// terminal, is escaped too.
func VisiblePath(path string) string {
	var b strings.Builder
	for _, r := range EscapePath(path) {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, c := range []byte(string(r)) {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// UnescapePath returns the bytes of a name that EscapePath or VisiblePath wrote.
func UnescapePath(path string) string {
	if !strings.Contains(path, `\x`) {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if c, ok := escaped(path[i:]); ok {
			b.WriteByte(c)
			i += len(`\xNN`) - 1
			continue
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// escaped returns the byte of the escape that s begins with: one that is no
// printable ASCII, or a backslash.
func escaped(s string) (byte, bool) {
	if len(s) < len(`\xNN`) || s[:2] != `\x` {
		return 0, false
	}
	c := unhex(s[2])<<4 | unhex(s[3])
	if unhex(s[2]) > 15 || unhex(s[3]) > 15 || ' ' <= c && c <= '~' && c != '\\' {
		return 0, false
	}
	return byte(c), true
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c - 'a' + 10)
	case 'A' <= c && c <= 'F':
		return int(c - 'A' + 10)
	}
	return 1 << 8
}
