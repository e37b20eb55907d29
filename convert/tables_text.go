package convert

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/text"
)

// none stands for a figure that an operation does not have.
const none = "-"

// printable makes text from outside safe for a terminal: everything that is
// not a visible character or a space is escaped, also what turns the writing
// direction.
func printable(s string) string {
	clean := func(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }
	if strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case clean(r):
			b.WriteRune(r)
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

func width(s string) int { return text.StringWidthWithoutEscSequences(s) }

// shortenMiddle cuts s to w columns, keeping both ends: of a path they say
// the most.
func shortenMiddle(s string, w int) string {
	if width(s) <= w {
		return s
	}
	const dots = "..."
	if w <= len(dots) {
		return dots[:max(w, 0)]
	}
	room := w - len(dots)
	head := takeColumns(s, room/2)
	runes := []rune(s)
	slices.Reverse(runes)
	tail := []rune(takeColumns(string(runes), room-width(head)))
	slices.Reverse(tail)
	return head + dots + string(tail)
}

// takeColumns returns as much of the start of s as fits in w columns.
func takeColumns(s string, w int) string {
	used := 0
	for i, r := range s {
		if used += text.RuneWidth(r); used > w {
			return s[:i]
		}
	}
	return s
}

// wrap breaks printable text into lines of at most w columns; lines after the
// first begin with indent. A word wider than a line is cut.
func wrap(s string, w int, indent string) []string {
	var lines []string
	line, start := "", ""
	for _, word := range strings.Fields(printable(s)) {
		for {
			next := line + " " + word
			if line == start {
				next = line + word
			}
			if width(next) <= w {
				line = next
				break
			}
			if line != start {
				lines = append(lines, line)
				line, start = indent, indent
				continue
			}
			part := takeColumns(word, max(w-width(line), 1))
			if part == "" { // one character wider than the line
				_, size := utf8.DecodeRuneInString(word)
				part = word[:size]
			}
			lines = append(lines, line+part)
			word = word[len(part):]
			line, start = indent, indent
			if word == "" {
				break
			}
		}
	}
	if line != start || len(lines) == 0 && line != "" {
		lines = append(lines, line)
	}
	return lines
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(n, 10) + " " + noun + "s"
}

// number formats with the given decimals, and stays short for any value. As
// in Capsem's tables there are no thousands separators, so a figure can be
// copied and found again in the JSON.
func number(v float64, decimals int) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return none
	case math.Abs(v) >= 1e12:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// millis formats ns as ms with Capsem's one decimal.
func millis(ns float64) string { return number(ns/1e6, 1) }

// duration formats ns in the unit that people would choose.
func duration(ns float64) string {
	switch a := math.Abs(ns); {
	case math.IsNaN(ns) || math.IsInf(ns, 0):
		return none
	case a < 1e3:
		return number(ns, 0) + " ns"
	case a < 1e6:
		return number(ns/1e3, 1) + " µs"
	case a < 1e10:
		return number(ns/1e6, 1) + " ms"
	default:
		return number(ns/1e9, 1) + " s"
	}
}

// throughput formats bytes per second in MiB/s, whatever the size, so that a
// column can be compared at a glance.
func throughput(bytesPerSec float64) string {
	v := bytesPerSec / mib
	if v > 0 && v < 0.1 {
		return number(v, 3) + " MiB/s"
	}
	return withUnit(number(v, 1), "MiB/s")
}

// withUnit appends a unit to a figure, not to the absence of one.
func withUnit(s, unit string) string {
	if s == none {
		return s
	}
	return s + " " + unit
}

func size(bytes float64) string {
	if !(bytes >= 0 && bytes < math.MaxInt64) {
		return none
	}
	return humanize.IBytes(uint64(bytes))
}
