package convert

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchfmt"
)

var fence = regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```$")

// formatBlocks are the fenced blocks of docs/format.md.
func formatBlocks(t *testing.T) (out []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/format.md")
	require.NoError(t, err)
	for _, m := range fence.FindAllSubmatch(text, -1) {
		out = append(out, string(m[1]))
	}
	require.NotEmpty(t, out)
	return out
}

// Every example of the format is read, by the converter without complaint and
// by benchstat's reader without error.
func TestFormatExamples(t *testing.T) {
	t.Parallel()
	for i, text := range formatBlocks(t) {
		rep, err := Read(strings.NewReader(text), "docs/format.md")
		require.NoError(t, err)
		assert.Empty(t, rep.Warnings, "example %d", i+1)
		assert.NotEmpty(t, rep.Ops, "example %d", i+1)
		if strings.HasPrefix(text, "{") || strings.HasPrefix(text, "===") {
			continue // benchfmt reads neither events nor names alone
		}
		r := benchfmt.NewReader(strings.NewReader(text), "docs/format.md")
		for r.Scan() {
			if bad, ok := r.Result().(*benchfmt.SyntaxError); ok {
				assert.Fail(t, bad.Error())
			}
		}
		require.NoError(t, r.Err())
		for line := range strings.Lines(text) {
			if body, ok := strings.CutPrefix(line, record.Prefix); ok {
				v, err := record.Parse([]byte(line))
				require.NoError(t, err, body)
				assert.NotNil(t, v, "a type that the reader does not know: %s", body)
			}
		}
	}
	rep, err := Read(strings.NewReader(formatBlocks(t)[1]), "example")
	require.NoError(t, err)
	assert.Equal(t, record.OK, rep.Find("disk/seq_read").Status)
	assert.Equal(t, record.Skipped, rep.Find("startup/codex").Status)
	assert.Equal(t, record.Failed, rep.Find("http/get").Status)
	assert.True(t, rep.Complete())
}
