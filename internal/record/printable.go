package record

import "strings"

// Printable returns s on one line without control characters, at most limit
// bytes of it. Reasons and doubts pass through it: part of them may come from
// a program that is measured.
func Printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\u2028' || r == '\u2029' || r == '\ufffd':
			return -1
		}
		return r
	}, strings.TrimSpace(s))
	if len(s) <= limit {
		return s
	}
	cut := limit - len("...")
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "..."
}
