package convert

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
)

// The values of a document. Objects keep their order, and numbers are written
// as Python's json module writes them, because Capsem's readers compare bytes.
type (
	fields []member
	array  []any
	// rounded is round(v, digits) of Python: correctly rounded from the exact
	// binary value, halves to even.
	rounded struct {
		v      float64
		digits int
	}
)

type member struct {
	key   string
	value any
}

// appendJSON appends v as json.dumps(v, indent=2) does.
func appendJSON(dst []byte, v any, indent string) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case float64:
		return append(dst, pyRepr(v)...)
	case rounded:
		return append(dst, pyRepr(pyRound(v.v, v.digits))...)
	case string:
		return appendString(dst, v)
	case fields:
		return appendMembers(dst, len(v), indent, '{', '}', func(dst []byte, i int, in string) []byte {
			dst = append(appendString(dst, v[i].key), ": "...)
			return appendJSON(dst, v[i].value, in)
		})
	case array:
		return appendMembers(dst, len(v), indent, '[', ']', func(dst []byte, i int, in string) []byte {
			return appendJSON(dst, v[i], in)
		})
	}
	panic("convert: no JSON form") // a programming error, not a matter of input
}

func appendMembers(dst []byte, n int, indent string, open, end byte, one func([]byte, int, string) []byte) []byte {
	dst = append(dst, open)
	if n == 0 {
		return append(dst, end)
	}
	in := indent + "  "
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, '\n'), in...)
		dst = one(dst, i, in)
	}
	dst = append(append(dst, '\n'), indent...)
	return append(dst, end)
}

// appendString escapes as ensure_ascii does.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	unit := func(u uint16) {
		dst = append(dst, '\\', 'u', hex[u>>12], hex[u>>8&15], hex[u>>4&15], hex[u&15])
	}
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\r':
			dst = append(dst, '\\', 'r')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case r == '\b':
			dst = append(dst, '\\', 'b')
		case r == '\f':
			dst = append(dst, '\\', 'f')
		case r < ' ' || r >= 0x7f && r <= 0xffff:
			unit(uint16(r))
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			unit(uint16(hi))
			unit(uint16(lo))
		default:
			dst = append(dst, byte(r))
		}
	}
	return append(dst, '"')
}

// pyRound is Python's round(x, digits).
func pyRound(x float64, digits int) float64 {
	v, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'f', digits, 64), 64)
	return v
}

// pyRepr is Python's repr(x): the shortest digits that read back as x, with
// an exponent below 1e-4 and from 1e16. JSON has no infinities; they and NaN
// become null, which Python's reader takes where its writer would not.
func pyRepr(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "null"
	}
	if a := math.Abs(x); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(x, 'e', -1, 64)
	}
	s := strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
