// Package termtext makes text from outside safe to show. What a guest, a file
// or another machine said is untrusted: printed as it is, it could move the
// cursor, recolour or retitle a terminal, turn the writing direction, break a
// table or forge a line of ours.
//
// There is one policy. A character is shown when it is visible; everything
// else is escaped as in a Go string, never dropped, so that a reader sees that
// something was there and two different texts stay different. Escaped are
// control characters (C0, DEL, C1), format characters (bidi controls, zero
// width, BOM), separators other than the space, private and unassigned
// characters, characters that Unicode says to ignore in display, bytes that
// are not UTF-8, and combining marks without a character to stand on. So is
// what makes the log of a workflow take text for a command: "::" at the start
// of a line, "##[" and "##vso[" anywhere.
//
// Cell is for text that must stay on its line, Block for text of several
// lines, Writer for a stream, JSON for a document. Package layout, below this
// one, knows columns; it is apart because its tables would make the guest's
// commands, whose start is measured, slower to start.
package termtext

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is how many combining marks a character may carry: decomposed
// Vietnamese has 2, vocalised Hebrew and Thai 3. Some dozens reach into the
// lines above.
const maxMarks = 4

// Cell returns s on one line: newlines and tabs are escaped too.
func Cell(s string) string {
	if plain(s) {
		return s
	}
	var e escaper
	e.write(s, false)
	return e.b.String()
}

// Block returns s with its lines kept. CRLF becomes a newline, a tab four
// blanks: what a tab moves to depends on the terminal.
func Block(s string) string {
	if plain(s) && !strings.HasPrefix(strings.TrimLeft(s, " "), "::") {
		return s
	}
	e := escaper{lead: true}
	e.write(strings.ReplaceAll(s, "\r\n", "\n"), true)
	return e.b.String()
}

// Short is Cell for at most n characters, then "...". What is cut off is not
// looked at, so its cost is bounded by n.
func Short(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return Cell(s[:i]) + "..."
		}
	}
	return Cell(s)
}

// Visible reports whether a character is shown as it is. A combining mark is,
// after another visible character.
func Visible(r rune) bool {
	return r != utf8.RuneError && unicode.IsPrint(r) &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// plain reports whether s is printable ASCII without a command, as nearly all
// text is.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return !strings.Contains(s, "##[") && !strings.Contains(s, "##v")
}

// An escaper collects escaped text.
type escaper struct {
	b      strings.Builder
	marks  int  // combining marks that may follow
	lead   bool // nothing but blanks in this line yet, or those and a colon
	before rune // the character before, if it was shown
	hashes int  // how many # it ends a row of
}

// write appends s; lines keeps newlines and widens tabs.
func (e *escaper) write(s string, lines bool) {
	for i, r := range s {
		switch {
		case lines && r == '\n':
			e.b.WriteByte('\n')
			e.marks, e.lead, e.before, e.hashes = 0, true, 0, 0
		case lines && r == '\t':
			e.b.WriteString("    ")
			e.marks, e.hashes = 0, 0
			e.lead = e.lead && e.before != ':'
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			e.escape(`\x` + string("0123456789abcdef"[s[i]>>4]) + string("0123456789abcdef"[s[i]&15]))
		case !Visible(r):
			e.escape(quoted(r))
		case unicode.Is(unicode.M, r) && e.marks == 0:
			e.escape(quoted(r))
		case unicode.Is(unicode.M, r):
			e.b.WriteRune(r)
			e.marks--
			e.lead, e.hashes = false, 0
		case lines && e.lead && r == ':' && e.before == ':', e.hashes > 1 && (r == '[' || r == 'v'):
			e.escape(`\x` + strconv.FormatInt(int64(r), 16))
		default:
			e.show(r)
		}
	}
}

// show writes a character that stands for itself.
func (e *escaper) show(r rune) {
	e.b.WriteRune(r)
	e.marks = maxMarks
	if r == ' ' {
		e.marks = 0
	}
	e.lead = e.lead && e.before != ':' && (r == ' ' || r == ':')
	if e.hashes++; r != '#' {
		e.hashes = 0
	}
	e.before = r
}

func (e *escaper) escape(s string) {
	e.b.WriteString(s)
	e.marks, e.lead, e.before, e.hashes = 0, false, 0, 0
}

// quoted is a character as in a Go string, without the quotes.
func quoted(r rune) string {
	q := strconv.QuoteRuneToASCII(r)
	return q[1 : len(q)-1]
}

// Plural returns a count with its noun: "1 boot", "2 boots".
func Plural[N int | int64](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.FormatInt(int64(n), 10) + " " + noun
}
