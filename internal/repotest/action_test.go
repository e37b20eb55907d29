package repotest

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// An action is the metadata of a composite action, and a workflow what is in
// .github/workflows; a key that is not here is not in GitHub's documents
// either ("Metadata syntax for GitHub Actions", "Workflow syntax").
type action struct {
	Name, Author, Description string
	Inputs                    map[string]struct {
		Description        string
		Required           bool
		Default            *string
		DeprecationMessage string `yaml:"deprecationMessage"`
	}
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []step
	}
	Branding map[string]string
}

type step struct {
	ID, Name, If, Uses, Run, Shell string
	With, Env                      map[string]string
	WorkingDirectory               string `yaml:"working-directory"`
	ContinueOnError                bool   `yaml:"continue-on-error"`
}

type workflow struct {
	Name        string
	On          any
	Permissions map[string]string
	Concurrency any
	Env         map[string]string
	Jobs        map[string]struct {
		Name           string
		If             string
		RunsOn         string `yaml:"runs-on"`
		TimeoutMinutes int    `yaml:"timeout-minutes"`
		Needs          any
		Permissions    map[string]string
		Env            map[string]string
		Steps          []step
	}
}

// decode reads YAML and refuses keys that nobody knows.
func decode(t *testing.T, text string, into any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	d.KnownFields(true)
	require.NoError(t, d.Decode(into))
}

func readAction(t *testing.T) *action {
	t.Helper()
	a := new(action)
	decode(t, page(t, "action.yml"), a)
	return a
}

var expression = regexp.MustCompile(`\$\{\{\s*(.*?)\s*\}\}`)

// expressions are the expressions of a value.
func expressions(v string) (out []string) {
	for _, m := range expression.FindAllStringSubmatch(v, -1) {
		out = append(out, m[1])
	}
	return out
}

func TestAction(t *testing.T) {
	a := readAction(t)
	assert.NotEmpty(t, a.Name)
	assert.NotEmpty(t, a.Description)
	assert.Equal(t, "composite", a.Runs.Using)
	checkSteps(t, a.Runs.Steps)

	// Whatever an expression names is there, and every input is used.
	ids, used := make(map[string]bool), make(map[string]bool)
	check := func(v string) {
		for _, e := range expressions(v) {
			part := strings.Split(e, ".")
			switch {
			case part[0] == "inputs" && len(part) == 2:
				assert.Contains(t, a.Inputs, part[1])
				used[part[1]] = true
			case part[0] == "steps" && len(part) == 4 && part[2] == "outputs":
				assert.True(t, ids[part[1]], "%s: no step %s before it", e, part[1])
			default:
				assert.Contains(t, []string{"github.action_path", "runner.temp"}, e)
			}
		}
	}
	for _, s := range a.Runs.Steps {
		for _, v := range s.Env {
			check(v)
		}
		for _, v := range s.With {
			check(v)
		}
		ids[s.ID] = true
	}
	for _, out := range a.Outputs {
		assert.NotEmpty(t, out.Description)
		check(out.Value)
	}
	for name, in := range a.Inputs {
		assert.NotEmpty(t, in.Description, name)
		assert.True(t, used[name], "input %s is not used", name)
		assert.True(t, in.Required != (in.Default != nil), "input %s is either required or has a default", name)
	}
}

// checkSteps holds steps to what a runner takes. A composite action has to
// name the shell; no script has an expression in it, which would become part
// of the script whatever it holds.
func checkSteps(t *testing.T, steps []step) {
	t.Helper()
	require.NotEmpty(t, steps)
	var ids []string
	for i, s := range steps {
		assert.True(t, (s.Run == "") != (s.Uses == ""), "step %d: want run or uses", i+1)
		assert.Empty(t, expressions(s.Run), "step %d", i+1)
		if s.Uses != "" {
			assert.Regexp(t, `^[\w-]+/[\w-]+@\w+$`, s.Uses)
			assert.Empty(t, s.Shell+s.WorkingDirectory, "step %d", i+1)
		}
		if s.ID != "" {
			assert.NotContains(t, ids, s.ID)
			ids = append(ids, s.ID)
		}
	}
}

func TestActionNamesItsShells(t *testing.T) {
	for i, s := range readAction(t).Runs.Steps {
		assert.Equal(t, s.Run != "", s.Shell == "bash", "step %d", i+1)
	}
}

// TestWorkflows reads the repository's own workflow and the one that people
// are to copy, whose inputs have to be the action's.
func TestWorkflows(t *testing.T) {
	own, example := new(workflow), new(workflow)
	decode(t, page(t, ".github/workflows/ci.yml"), own)
	decode(t, indented(t, "docs/ci.md", "# .github/workflows/ab.yml"), example)
	for _, w := range []*workflow{own, example} {
		assert.NotNil(t, w.On)
		assert.Equal(t, map[string]string{"contents": "read"}, w.Permissions)
		for _, job := range w.Jobs {
			assert.NotEmpty(t, job.RunsOn)
			assert.Positive(t, job.TimeoutMinutes)
			checkSteps(t, job.Steps)
		}
	}
	a := readAction(t)
	steps := example.Jobs["ab"].Steps
	require.Len(t, steps, 2)
	assert.Equal(t, "0", steps[0].With["fetch-depth"], "a git ref needs the history")
	for name := range steps[1].With {
		assert.Contains(t, a.Inputs, name)
	}
	for name, in := range a.Inputs {
		if in.Required {
			assert.Contains(t, steps[1].With, name)
		}
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
