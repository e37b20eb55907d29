package record

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// Bounds on labels.
const (
	maxLabels = 32
	maxLabel  = 256 // bytes of a value
)

var labelKey = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`) })

// ParseLabels reads words of the form key=value. A key is of lower-case
// letters, digits, '_', '.' and '-', and begins with a letter; a value has at
// most 256 bytes, all printable and no comma, which separates labels.
func ParseLabels(words []string) (map[string]string, error) {
	out := make(map[string]string)
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		switch {
		case !ok || !labelKey().MatchString(key):
			return nil, fmt.Errorf("label %q: want key=value, as in release=1.4.0", w)
		case !printableLabel(value):
			return nil, fmt.Errorf("label %q: want a printable value of at most %d bytes without a comma", w, maxLabel)
		}
		if old, twice := out[key]; twice && old != value {
			return nil, fmt.Errorf("label %s is given twice: %q and %q", key, old, value)
		}
		out[key] = value
	}
	if len(out) > maxLabels {
		return nil, fmt.Errorf("%d labels; want at most %d", len(out), maxLabels)
	}
	return out, nil
}

func printableLabel(s string) bool {
	return s != "" && len(s) <= maxLabel && !strings.Contains(s, ",") && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0
}
