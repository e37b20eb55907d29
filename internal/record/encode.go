package record

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// appendJSON appends v as encoding/json writes it with SetEscapeHTML(false),
// for what the lines consist of: structs, slices, maps by string, pointers,
// strings, numbers and bools. encoding/json itself would make the guest binary
// 0.3 MB larger, for these eight structs.
func appendJSON(dst []byte, v reflect.Value) ([]byte, error) {
	switch v.Kind() {
	case reflect.String:
		return appendString(dst, v.String()), nil
	case reflect.Bool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case reflect.Int, reflect.Int64:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case reflect.Uint64:
		return strconv.AppendUint(dst, v.Uint(), 10), nil
	case reflect.Float64:
		return appendFloat(dst, v.Float())
	case reflect.Struct:
		return appendStruct(dst, v)
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if v.IsNil() {
			return append(dst, "null"...), nil
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		return appendJSON(dst, v.Elem())
	case reflect.Slice:
		return appendSlice(dst, v)
	case reflect.Map:
		return appendMap(dst, v)
	}
	return dst, fmt.Errorf("no JSON for a %v", v.Type())
}

// appendStruct appends the fields by their json tags, in order.
func appendStruct(dst []byte, v reflect.Value) (_ []byte, err error) {
	dst = append(dst, '{')
	for i := range v.NumField() {
		name, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		field := v.Field(i)
		if option == "omitempty" && isEmpty(field) {
			continue
		}
		dst = append(appendString(comma(dst), name), ':')
		if dst, err = appendJSON(dst, field); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// isEmpty says what omitempty leaves out.
func isEmpty(v reflect.Value) bool {
	if k := v.Kind(); k == reflect.Slice || k == reflect.Map {
		return v.Len() == 0
	}
	return v.IsZero()
}

func appendSlice(dst []byte, v reflect.Value) (_ []byte, err error) {
	dst = append(dst, '[')
	for i := range v.Len() {
		if dst, err = appendJSON(comma(dst), v.Index(i)); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func appendMap(dst []byte, v reflect.Value) (_ []byte, err error) {
	var keys []string
	for _, k := range v.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	dst = append(dst, '{')
	for _, k := range keys {
		dst = append(appendString(comma(dst), k), ':')
		if dst, err = appendJSON(dst, v.MapIndex(reflect.ValueOf(k))); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// comma separates a value from the one before it, if there is one.
func comma(dst []byte) []byte {
	if last := dst[len(dst)-1]; last == '{' || last == '[' {
		return dst
	}
	return append(dst, ',')
}

// appendFloat writes an exponent only where ECMAScript does.
func appendFloat(dst []byte, f float64) ([]byte, error) {
	abs := math.Abs(f)
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return dst, fmt.Errorf("no JSON for the number %v", f)
	case abs != 0 && (abs < 1e-6 || abs >= 1e21):
		s := strconv.FormatFloat(f, 'e', -1, 64)
		return append(dst, strings.Replace(s, "e-0", "e-", 1)...), nil
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64), nil
}

// appendString quotes a string as RFC 8259 has it. Invalid UTF-8 becomes
// U+FFFD; the line separators of JavaScript are escaped.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ' || r == '\u2028' || r == '\u2029':
			if short := strings.IndexRune("\b\f\n\r\t", r); short >= 0 {
				dst = append(dst, '\\', "bfnrt"[short])
				break
			}
			dst = append(dst, '\\', 'u', hex[r>>12], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		case r == utf8.RuneError && size == 1:
			dst = append(dst, `\ufffd`...)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
