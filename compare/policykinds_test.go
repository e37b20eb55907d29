package compare

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A policy comes with a pull request. None of these may take the time or the
// memory that a decoder would spend on it.
func TestReadPolicyHostile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"dotted key":          {strings.Repeat("a.", 20_000) + "b = 1\n", "gate.toml:1: more than 64 dots in a line"},
		"dotted table":        {"budget = 0.05\n[" + strings.Repeat("a.", 20_000) + "b]\n", "gate.toml:2: more than 64 dots in a line"},
		"dots apart":          {strings.Repeat("a . ", 10_000) + "b = 1\n", "gate.toml:1: more than 64 dots in a line"},
		"behind an open text": {"x = \"\"\" \" \"\"\"\n" + strings.Repeat("a.", 20_000) + "b = 1\n", "gate.toml:2: more than 64 dots in a line"},
		"long":                {"# " + strings.Repeat("x", 64<<10) + "\n", "gate.toml: larger than 64 KiB"},
		"many short keys":     {strings.Repeat("a.b.c.d.e.f.g.h = 1\n", 3_000), "gate.toml:2: "},
		"nested arrays":       {"required = " + strings.Repeat("[", 60_000), "gate.toml:1: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			_, err := ReadPolicy(strings.NewReader(c.text), "gate.toml")
			require.ErrorContains(t, err, c.want)
			require.Less(t, time.Since(begin), time.Minute)
		})
	}
}
