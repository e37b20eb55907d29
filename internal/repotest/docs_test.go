package repotest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchfmt"
)

func page(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), path))
	require.NoError(t, err)
	return string(text)
}

var fence = regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```$")

// blocks are the fenced blocks of a page.
func blocks(t *testing.T, path string) []string {
	t.Helper()
	var out []string
	for _, m := range fence.FindAllStringSubmatch(page(t, path), -1) {
		out = append(out, m[1])
	}
	require.NotEmpty(t, out)
	return out
}

// Every example of the format is read, by the converter without complaint and
// by benchstat's reader without error.
func TestFormatExamples(t *testing.T) {
	for i, text := range blocks(t, "docs/format.md") {
		rep, err := convert.Read(strings.NewReader(text), "docs/format.md")
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
	rep, err := convert.Read(strings.NewReader(blocks(t, "docs/format.md")[1]), "example")
	require.NoError(t, err)
	assert.Equal(t, record.OK, rep.Find("disk/seq_read").Status)
	assert.Equal(t, record.Skipped, rep.Find("startup/codex").Status)
	assert.Equal(t, record.Failed, rep.Find("http/get").Status)
	assert.True(t, rep.Complete())
}

// Every command of the README exists: of capsem-bench the subcommand and its
// flags, of the shell what it is called with. The tests themselves are the
// proof of "go test ./...", and those of the command of "run".
func TestReadmeCommands(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "capsem-bench")
	run(t, "go", "build", "-o", binary, module+"/cmd/capsem-bench")
	seen := 0
	for _, block := range blocks(t, "README.md") {
		for line := range strings.Lines(block) {
			line, _, _ = strings.Cut(line, "#")
			words := strings.Fields(line)
			rest, ours := strings.CutPrefix(strings.Join(words, " "), "go run ./cmd/capsem-bench ")
			switch {
			case len(words) == 0:
			case ours:
				args, err := shell.Split(rest)
				require.NoError(t, err, line)
				if i := slices.Index(args, "--"); i >= 0 {
					args = args[:i] // the rest is not for us
				}
				args = append(args, "--help")
				cmd := exec.Command(binary, args...)
				cmd.Dir = t.TempDir()
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				require.NoError(t, err, "%s\n%s", line, stderr.String())
				name := args[0]
				if strings.HasPrefix(name, "-") {
					name = "capsem-bench"
				}
				assert.Contains(t, string(out), "Usage:", line)
				assert.Contains(t, string(out), name, line)
				for _, flag := range args[1 : len(args)-1] {
					if strings.HasPrefix(flag, "--") {
						assert.Contains(t, string(out), flag, line)
					}
				}
			case strings.HasPrefix(line, "go test ./..."):
			case strings.HasPrefix(line, "CGO_ENABLED=0 go test -c -o capsem-bench.test ."):
			case strings.HasPrefix(line, "./capsem-bench.test "): // internal/guesttest runs it
			case strings.HasPrefix(line, "go tool benchstat "): // so it does this
			case strings.HasPrefix(line, `ssh -F "$(go run ./cmd/capsem-bench vm ssh-config `): // and the tests of the command this
			case strings.HasPrefix(line, `ssh -o ProxyCommand="go run ./cmd/capsem-bench vm proxy `): // and this
			default:
				assert.Fail(t, "a command that no test knows", line)
			}
			seen++
		}
	}
	assert.Greater(t, seen, 8)
}

// The README's map and links name what is there, and the map every directory
// of the root.
func TestReadmeMap(t *testing.T) {
	text := page(t, "README.md")
	_, after, ok := strings.Cut(text, "## Map\n")
	require.True(t, ok)
	lines := 0
	for line := range strings.Lines(after) {
		if !strings.HasPrefix(line, "    ") {
			continue
		}
		lines++
		for _, name := range strings.Split(strings.Fields(strings.ReplaceAll(line, ", ", ","))[0], ",") {
			matches, err := filepath.Glob(filepath.Join(root(t), name))
			require.NoError(t, err)
			assert.NotEmpty(t, matches, name)
		}
	}
	assert.LessOrEqual(t, lines, 10, "the map has ten lines")
	for _, path := range tracked(t) {
		if dir, _, ok := strings.Cut(path, "/"); ok && !strings.HasPrefix(dir, ".") {
			assert.Contains(t, after, dir+"/", "the map lacks a directory")
		}
	}
	for _, doc := range []string{"README.md", "docs/format.md", "docs/decisions.md"} {
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(page(t, doc), -1) {
			assert.FileExists(t, filepath.Join(root(t), filepath.Dir(doc), m[1]))
		}
	}
}

// just lists at most a dozen recipes; what else CI needs begins with _ or is
// marked private.
func TestPublicRecipes(t *testing.T) {
	recipe := regexp.MustCompile(`^([a-z][a-z0-9-]*)[^:=]*:([^=]|$)`)
	public, previous := []string{}, ""
	for line := range strings.Lines(page(t, "justfile")) {
		if m := recipe.FindStringSubmatch(line); m != nil && !strings.Contains(previous, "private") && !strings.HasPrefix(line, "set ") {
			public = append(public, m[1])
			assert.Regexp(t, "^#", previous, "%s has no comment", m[1])
		}
		if !strings.HasPrefix(line, "[") || strings.Contains(line, "private") {
			previous = line
		}
	}
	assert.NotEmpty(t, public)
	assert.LessOrEqual(t, len(public), 12, "%v", public)
}
