package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A console is a shell in a terminal that tmux draws.
type console struct {
	socket string
	env    []string
}

// openConsole starts a shell in dir.
func openConsole(t *testing.T, dir string, env []string, argv ...string) *console {
	t.Helper()
	c := &console{socket: filepath.Join(os.TempDir(), "tmux-"+argv[0]), env: env}
	c.tmux(t, append([]string{"-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "24", "-c", dir}, argv...)...)
	t.Cleanup(func() { c.tmux(t, "kill-server") })
	return c
}

func (c *console) tmux(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", c.socket}, args...)...)
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "tmux %s: %s", strings.Join(args, " "), out)
	return string(out)
}

// line types a line.
func (c *console) line(t *testing.T, text string) {
	t.Helper()
	c.tmux(t, "send-keys", "-l", text)
	c.tmux(t, "send-keys", "Enter")
}

// shows waits until the screen matches.
func (c *console) shows(t *testing.T, pattern string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	screen := ""
	require.Eventually(t, func() bool {
		screen = c.tmux(t, "capture-pane", "-p", "-J")
		return re.MatchString(screen)
	}, time.Minute, 20*time.Millisecond, "%q is not on the screen:\n%s", pattern, lazy(func() string { return screen }))
}

// lazy is text that is looked at when it is printed.
type lazy func() string

func (l lazy) String() string { return l() }

// A TAB in the shells that people use completes commands, flags, their values,
// files, sessions, git's refs and running VMs.
func TestCompletionInShells(t *testing.T) {
	for _, program := range []string{"tmux", "bash", "zsh", "fish", "git"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s; install tmux, zsh, fish and git", program)
		}
	}
	s := newStandIn(t)
	env := append(s.env, "LC_ALL=C.UTF-8", "TERM=screen")
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "oldrun"), 0o755))
	db := filepath.Join(dir, "results", "20261125-101500-1a2b")
	require.NoError(t, os.MkdirAll(db, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(db, "session.db"), nil, 0o600))
	for _, args := range [][]string{
		{"init", "-q", "-b", "trunk"},
		{"-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty", "-m", "x"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Env = dir, s.env
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	for shell, begin := range map[string][]string{
		"bash": {"bash", "--norc", "--noprofile", "-i"},
		"zsh":  {"zsh", "-f", "-i"},
		"fish": {"fish", "--no-config", "-i"},
	} {
		t.Run(shell, func(t *testing.T) {
			c := openConsole(t, dir, env, begin...)
			switch shell {
			case "bash":
				c.line(t, "PS1='$ '; source <(capsem-bench completion bash)")
			case "zsh":
				c.line(t, "PS1='$ '; autoload -U compinit && compinit -u -D; source <(capsem-bench completion zsh)")
			case "fish":
				c.line(t, "function fish_prompt; echo -n '$ '; end; function fish_greeting; end; capsem-bench completion fish | source")
			}
			c.line(t, "echo rea''dy")
			c.shows(t, `(?m)^ready$`)
			for typed, want := range map[string]string{
				"sess":                      "session",
				"vm lis":                    "vm list",
				"gate oldr":                 "gate oldrun/",
				"run --sandbox loc":         "run --sandbox local",
				"run --prof":                "run --profile",
				"vm exec --vm d":            "vm exec --vm dev",
				"vm ssh-config d":           "vm ssh-config dev",
				"ab --base tr":              "ab --base trunk",
				"session inspect 20261125-": "session inspect 20261125-101500-1a2b",
				"run snapshot thr":          "run snapshot throughput",
			} {
				c.tmux(t, "send-keys", "-l", "capsem-bench "+typed)
				c.tmux(t, "send-keys", "Tab")
				c.shows(t, fmt.Sprintf(`(?m)^\$ ?capsem-bench %s *$`, regexp.QuoteMeta(want)))
				c.tmux(t, "send-keys", "C-u")
				c.line(t, "clear")
				c.shows(t, `\A\s*\$\s*\z`)
			}
		})
	}
	assert.NoFileExists(t, filepath.Join(dir, "capsem-bench"))
}
