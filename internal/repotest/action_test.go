package repotest

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The workflow that docs/ci.md shows calls the action with inputs that it has,
// and with those that it requires. actionlint reads the repository's own
// workflows; it knows neither this page nor another repository's action.
func TestWorkflowInDocs(t *testing.T) {
	t.Parallel()
	var action struct {
		Inputs map[string]struct{ Required bool }
		Runs   struct {
			Steps []struct {
				Run, Shell string
				Env        map[string]string
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(page(t, "action.yml")), &action))
	type step struct {
		Uses string
		With map[string]string
	}
	measures := func(first string) (steps []step, with map[string]string) {
		var example struct {
			Jobs map[string]struct{ Steps []step }
		}
		require.NoError(t, yaml.Unmarshal([]byte(indented(t, "docs/ci.md", first)), &example))
		steps = example.Jobs["ab"].Steps
		with = steps[len(steps)-1].With
		require.NotEmpty(t, with)
		for name := range with {
			assert.Contains(t, action.Inputs, name)
		}
		return steps, with
	}
	steps, with := measures("# .github/workflows/ab.yml")
	require.Len(t, steps, 2)
	assert.Equal(t, "0", steps[0].With["fetch-depth"], "a git ref needs the history")
	assert.Contains(t, with, "base")
	assert.Contains(t, with, "cand")
	_, with = measures("# .github/workflows/capsem-bench.yml")
	assert.Equal(t, "capsem", with["sandbox"])
	assert.Contains(t, with, "base-bin")
	assert.Contains(t, with, "cand-bin")
	for name, in := range action.Inputs {
		assert.Contains(t, page(t, "action.yml"), "${{ inputs."+name+" }}", "an input that nothing uses")
		assert.False(t, in.Required, "no example gives all")
	}
	for _, s := range action.Runs.Steps {
		assert.Equal(t, s.Run != "", s.Shell == "bash", "a composite action names the shell of what it runs")
		assert.NotContains(t, s.Run, "${{", "an expression would become part of the script, whatever it holds")
		assert.Equal(t, s.Env["TOKEN"] != "", strings.Contains(s.Run, ".ci/comment"), "only the step that comments has the token")
	}
}

// indented returns the indented block of a page that begins with a line.
func indented(t *testing.T, path, first string) string {
	t.Helper()
	lines := strings.Split(page(t, path), "\n")
	at := slices.Index(lines, "    "+first)
	require.GreaterOrEqual(t, at, 0, "%s: no block %q", path, first)
	var out []string
	for _, l := range lines[at:] {
		code, ok := strings.CutPrefix(l, "    ")
		if !ok && l != "" {
			break
		}
		out = append(out, code)
	}
	return strings.Join(out, "\n")
}
