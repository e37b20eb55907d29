package termtext

import (
	"bytes"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// A Writer passes text on as Block does, whatever way it is cut into writes.
// It is for what a child or a guest prints while it runs. Errors of what it
// writes to are dropped: somebody who no longer looks on is no reason to stop
// what runs.
type Writer struct {
	w    io.Writer
	rest []byte // the start of a character, or a CR
	e    escaper
}

// NewWriter returns a Writer to w. What it still holds is written by Flush.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w, e: escaper{lead: true}} }

// Write takes everything and never fails.
func (w *Writer) Write(b []byte) (int, error) {
	text := append(w.rest, b...)
	keep := incomplete(text)
	w.rest = append([]byte(nil), text[len(text)-keep:]...)
	w.pass(text[:len(text)-keep])
	return len(b), nil
}

// Flush writes the half character that the text ended with, escaped.
func (w *Writer) Flush() {
	w.pass(w.rest)
	w.rest = nil
}

func (w *Writer) pass(text []byte) {
	w.e.b.Reset()
	w.e.write(string(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))), true)
	if w.e.b.Len() > 0 {
		_, _ = io.WriteString(w.w, w.e.b.String())
	}
}

// incomplete returns how many bytes at the end need what comes next: a CR, or
// a character of which the rest is to come.
func incomplete(b []byte) int {
	if len(b) > 0 && b[len(b)-1] == '\r' {
		return 1
	}
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if tail[0] >= utf8.RuneSelf && !utf8.FullRune(tail) {
				return n
			}
			return 0
		}
	}
	return 0
}

// JSON returns a JSON document in which the strings are safe to print: JSON
// itself escapes only what is below U+0020, and a C1 control or a bidi control
// steers a terminal just as well; nor does the log of a workflow take a string
// for a command. The document means the same.
func JSON(doc []byte) []byte {
	if plain(string(bytes.ReplaceAll(doc, []byte("\n"), nil))) {
		return doc
	}
	out := make([]byte, 0, len(doc))
	for len(doc) > 0 {
		r, size := utf8.DecodeRune(doc)
		switch {
		case (r == '[' || r == 'v') && bytes.HasSuffix(out, []byte("##")):
			out = appendUnicode(out, r)
		case r < ' ', r != 0x7f && Visible(r):
			out = append(out, doc[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = appendUnicode(appendUnicode(out, high), low)
		default:
			out = appendUnicode(out, r)
		}
		doc = doc[size:]
	}
	return out
}

func appendUnicode(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
