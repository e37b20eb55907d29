// Package layout measures, cuts, breaks and colours text in the columns of a
// terminal, where a character may take none, one or two. It takes text that
// termtext has escaped.
package layout

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/text"
)

// Width is how many columns s takes, colours not counted.
func Width(s string) int { return text.StringWidthWithoutEscSequences(s) }

// ShortenMiddle cuts s to w columns, keeping both ends: of a path they say
// the most.
func ShortenMiddle(s string, w int) string {
	if Width(s) <= w {
		return s
	}
	const dots = "..."
	if w <= len(dots) {
		return dots[:max(w, 0)]
	}
	room := w - len(dots)
	head := take(s, room/2)
	runes := []rune(s)
	slices.Reverse(runes)
	tail := []rune(take(string(runes), room-Width(head)))
	slices.Reverse(tail)
	return head + dots + string(tail)
}

// ShortenEnd cuts s to w columns, keeping its beginning.
func ShortenEnd(s string, w int) string {
	if Width(s) <= w {
		return s
	}
	if w < 1 {
		return ""
	}
	return take(s, w-1) + "…"
}

// take returns as much of the start of s as fits in w columns.
func take(s string, w int) string {
	used := 0
	for i, r := range s {
		if used += text.RuneWidth(r); used > w {
			return s[:i]
		}
	}
	return s
}

// Wrap breaks text into lines of at most w columns, between words; lines after
// the first begin with indent. Blanks between words become one; those that s
// begins with stay. A word wider than a line is cut.
func Wrap(s string, w int, indent string) []string {
	lead := s[:len(s)-len(strings.TrimLeft(s, " "))]
	var lines []string
	line, start := lead, lead
	for _, word := range strings.Fields(s) {
		for word != "" {
			next := line + " " + word
			if line == start {
				next = line + word
			}
			if Width(next) <= w {
				line = next
				break
			}
			if line != start {
				lines = append(lines, line)
				line, start = indent, indent
				continue
			}
			part := take(word, max(w-Width(line), 1))
			if part == "" { // one character wider than the line
				_, size := utf8.DecodeRuneInString(word)
				part = word[:size]
			}
			lines = append(lines, line+part)
			word = word[len(part):]
			line, start = indent, indent
		}
	}
	if line != start {
		lines = append(lines, line)
	}
	return lines
}

// WrapCommand breaks a command before its flags into lines of at most w columns,
// as a shell takes it. A flag that is wider stays whole: a command is there to be
// copied.
func WrapCommand(s string, w int, indent string) []string {
	const more = ` \`
	var out []string
	cur := ""
	for i, part := range strings.Split(s, " --") {
		switch {
		case i == 0:
			cur = part
		case Width(cur+" --"+part+more) <= w:
			cur += " --" + part
		default:
			out = append(out, cur+more)
			cur = indent + "--" + part
		}
	}
	return append(out, cur)
}

// A Style is how text stands out: the attributes of an SGR sequence.
type Style string

// The styles in use. Colour carries no meaning that the words do not have too.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Faint  Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
)

// Paint returns s in a style where colour is wanted.
func Paint(s string, style Style, color bool) string {
	if !color || style == Plain || s == "" {
		return s
	}
	return "\x1b[" + string(style) + "m" + s + "\x1b[0m"
}

// ASCII returns s for a terminal that shows nothing else, in as many columns:
// lines of tables become + - |, what we print beside ASCII its likeness, and
// any other character one ? a column.
func ASCII(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case r >= '─' && r <= '╿':
			b.WriteByte(boxASCII(r))
		default:
			like, ok := likeness(r)
			if !ok {
				like = strings.Repeat("?", text.RuneWidth(r))
			}
			b.WriteString(like)
		}
	}
	return b.String()
}

func boxASCII(r rune) byte {
	switch r {
	case '─', '━', '═':
		return '-'
	case '│', '┃', '║':
		return '|'
	}
	return '+'
}

// likeness is what stands for a character of ours, in one column.
func likeness(r rune) (string, bool) {
	switch r {
	case 'µ', 'μ':
		return "u", true
	case '±', '…':
		return "~", true
	case '×':
		return "x", true
	case '–', '—', '−':
		return "-", true
	case '•', '·':
		return "*", true
	}
	if r >= '▁' && r <= '█' { // a bar of a sparkline, by its height
		return string("_.-~=+*#"[r-'▁']), true
	}
	return "", false
}
