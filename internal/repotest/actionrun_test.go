package repotest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A runner runs the steps of the action as GitHub's does, as far as the action
// needs it: expressions become values, a step after a failed one runs only
// where it says always(), and bash is called as documented. Other people's
// actions are noted and not run.
type runner struct {
	inputs          map[string]string
	workspace, temp string
	outputs         map[string]string // steps.ID.outputs.NAME
	summary         string
	uses            map[string]map[string]string // with what each was called
	failed          bool
	status          int // of the step that failed
	complaints      string
}

// runAction runs the action in a workspace that has a build named fake.
func runAction(t *testing.T, inputs map[string]string) *runner {
	t.Helper()
	a := readAction(t)
	r := &runner{inputs: make(map[string]string), workspace: t.TempDir(), temp: t.TempDir(), outputs: make(map[string]string), uses: make(map[string]map[string]string)}
	for name, in := range a.Inputs {
		if in.Default != nil {
			r.inputs[name] = *in.Default
		}
	}
	for name, v := range inputs {
		r.inputs[name] = v
	}
	fake := page(t, "cmd/capsem-bench/testdata/fake-build")
	require.NoError(t, os.Mkdir(filepath.Join(r.workspace, "fake"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(r.workspace, "fake", "capsem-bench"), []byte(fake), 0o755))
	for _, s := range a.Runs.Steps {
		require.Contains(t, []string{"", "always()"}, s.If)
		if r.failed && s.If == "" {
			continue
		}
		if s.Uses != "" {
			r.uses[strings.Split(s.Uses, "@")[0]] = r.values(t, s.With)
			continue
		}
		r.run(t, s)
	}
	for name, out := range a.Outputs {
		r.outputs[name] = r.value(t, out.Value)
	}
	return r
}

func (r *runner) values(t *testing.T, in map[string]string) map[string]string {
	out := make(map[string]string)
	for k, v := range in {
		out[k] = r.value(t, v)
	}
	return out
}

func (r *runner) value(t *testing.T, v string) string {
	return expression.ReplaceAllStringFunc(v, func(text string) string {
		e := expressions(text)[0]
		switch name, ok := strings.CutPrefix(e, "inputs."); {
		case ok:
			return r.inputs[name]
		case e == "github.action_path":
			return root(t)
		case e == "runner.temp":
			return r.temp
		}
		return r.outputs[e]
	})
}

func (r *runner) run(t *testing.T, s step) {
	t.Helper()
	dir := t.TempDir()
	script, output, summary := filepath.Join(dir, "step.sh"), filepath.Join(dir, "output"), filepath.Join(dir, "summary")
	for name, text := range map[string]string{script: s.Run, output: "", summary: ""} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	}
	cmd := exec.CommandContext(t.Context(), "bash", "--noprofile", "--norc", "-eo", "pipefail", script)
	cmd.Dir = r.workspace
	cmd.Env = append(os.Environ(), "GITHUB_OUTPUT="+output, "GITHUB_STEP_SUMMARY="+summary, "RUNNER_TEMP="+r.temp, "GITHUB_WORKSPACE="+r.workspace)
	for k, v := range r.values(t, s.Env) {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	text, err := cmd.CombinedOutput()
	r.complaints += string(text)
	var exit *exec.ExitError
	if err != nil {
		require.True(t, errors.As(err, &exit), "%v", err)
		r.failed, r.status = true, exit.ExitCode()
	}
	told, err := os.ReadFile(summary)
	require.NoError(t, err)
	r.summary += string(told)
	told, err = os.ReadFile(output)
	require.NoError(t, err)
	for line := range strings.Lines(string(told)) {
		name, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		require.True(t, ok, "GITHUB_OUTPUT: %q", line)
		r.outputs["steps."+s.ID+".outputs."+name] = v
	}
}

// TestActionRuns holds the action to its promises: a summary, the texts for
// the artifact, and the verdict as an exit status.
func TestActionRuns(t *testing.T) {
	const op = "Snapshot/files=100/op=revert"
	tests := []struct {
		name   string
		inputs map[string]string
		status string
		told   string
	}{
		{"pass", map[string]string{"args": "--accept-unfit"}, "0", "## Gate: pass: no regression\n"},
		{"regression", map[string]string{"args": "--accept-unfit --cand-env FAKE_SLOW=" + op, "looks": "6", "categories": "snapshot throughput"}, "1", "snapshot/100/revert: +"},
		{"few boots", map[string]string{"args": "--accept-unfit", "looks": "5"}, "0", "so few boots could show"},
		{"underpowered", map[string]string{"args": "--accept-unfit", "looks": "3"}, "3", "underpowered"},
		{"no such build", map[string]string{"base": "$(touch pwned)"}, "2", "no commit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inputs := map[string]string{"base": "fake", "cand": "fake"}
			for k, v := range tt.inputs {
				inputs[k] = v
			}
			r := runAction(t, inputs)
			assert.Equal(t, tt.status, r.outputs["status"], r.complaints)
			assert.Equal(t, tt.status != "0", r.failed, "the check fails by its exit status")
			assert.Equal(t, tt.status, string(rune('0'+r.status)))
			assert.Contains(t, r.summary, tt.told)
			assert.NoFileExists(t, filepath.Join(r.workspace, "pwned"))
			assert.Equal(t, filepath.Join(root(t), "go.mod"), r.uses["actions/setup-go"]["go-version-file"])

			upload := r.uses["actions/upload-artifact"]
			assert.Equal(t, "capsem-bench-ab", upload["name"])
			if tt.status == "2" {
				return
			}
			for _, side := range []string{"base", "cand"} {
				kept, _, _ := strings.Cut(upload["path"], "\n")
				texts, err := filepath.Glob(filepath.Join(kept, side, "boot-*.txt"))
				require.NoError(t, err)
				assert.NotEmpty(t, texts, side)
			}
		})
	}
}
