package shell_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/shell"
)

// hard are arguments that go wrong in shells.
var hard = []string{
	"", " ", "plain", "two words", "  edges  ", "tab\there", "line\nbreak", "\n", "cr\r\n", `it's`, `''`, `"double"`, `'"'"'`,
	"$HOME", "${x}", "$(id)", "`id`", `back\slash`, `\`, `\\`, `\n`, "-n", "--", "-rf", "*", "?[a]", "~", "~root", "a=b", "=",
	"#comment", "a;b", "a|b", "a&b", "<in", ">out", "(sub)", "{a,b}", "{}", "!", "!!", "a!b", "%s", "\x01\x7f", "\x1b[31m",
	"héllo", "日本語", "🙂", "\xff\xfe", strings.Repeat("x", 5000), "%", "^", "a:b", "é=ü",
}

// A real shell reads back what was quoted, byte for byte.
func TestJoinThroughShell(t *testing.T) {
	for _, sh := range []string{"sh", "bash"} {
		path, err := exec.LookPath(sh)
		if err != nil {
			require.NotEqual(t, "sh", sh)
			continue
		}
		out, err := exec.Command(path, "-c", shell.Join(append([]string{"printf", `%s\0`}, hard...)...)).Output()
		require.NoError(t, err)
		assert.Equal(t, strings.Join(hard, "\x00")+"\x00", string(out), sh)

		// Quoted twice, it passes two shells.
		out, err = exec.Command(path, "-c", shell.Join(path, "-c", shell.Join(append([]string{"printf", `%s\0`}, hard...)...))).Output()
		require.NoError(t, err)
		assert.Equal(t, strings.Join(hard, "\x00")+"\x00", string(out), sh)
	}
}

func TestSplitReadsJoin(t *testing.T) {
	words, err := shell.Split(shell.Join(hard...))
	require.NoError(t, err)
	assert.Equal(t, hard, words)
}

func TestSplit(t *testing.T) {
	for line, want := range map[string][]string{
		"":                        nil,
		" \t\n":                   nil,
		"a b":                     {"a", "b"},
		" a\tb\nc ":               {"a", "b", "c"},
		`a 'b c' "d e"`:           {"a", "b c", "d e"},
		`a''b`:                    {"ab"},
		`''`:                      {""},
		`"a\"b\\c\$d\e"`:          {`a"b\c$d\e`},
		`'a\b'`:                   {`a\b`},
		`a\ b \'`:                 {"a b", "'"},
		"a\\\nb":                  {"ab"},
		"\"a\\\nb\"":              {"ab"},
		`sh -c 'cd /w && {}'`:     {"sh", "-c", "cd /w && {}"},
		`--x={} "$(y)"'; z'`:      {"--x={}", "$(y); z"},
		`a#b #c * ~ ? [x] {a,b}=`: {"a#b", "#c", "*", "~", "?", "[x]", "{a,b}="},
	} {
		words, err := shell.Split(line)
		require.NoError(t, err, line)
		assert.Equal(t, want, words, line)
	}
	for line, want := range map[string]string{
		`a 'b`:        "has no closing '",
		`a "b`:        `has no closing "`,
		`a "b\"`:      `has no closing "`,
		`a\`:          "ends with a backslash",
		"a | b":       "outside of quotes",
		"a; b":        "outside of quotes",
		"a > b":       "outside of quotes",
		"a $HOME":     "outside of quotes",
		"a `b`":       "outside of quotes",
		"a && b":      "outside of quotes",
		"(a)":         "outside of quotes",
		"ssh vm {} &": "outside of quotes",
	} {
		_, err := shell.Split(line)
		assert.ErrorContains(t, err, want, line)
	}
}

// Whatever the words are, they come back; whatever the line is, Split ends.
func FuzzSplit(f *testing.F) {
	f.Add("a 'b c' \"d\" \\e")
	f.Add("ssh -p 22 root@vm {}")
	f.Fuzz(func(t *testing.T, line string) {
		line = strings.ReplaceAll(line, "\x00", "")
		words, err := shell.Split(line)
		if err != nil {
			return
		}
		again, err := shell.Split(shell.Join(words...))
		require.NoError(t, err)
		assert.Equal(t, words, again)
	})
}
