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

	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/capsem/capsem-bench/internal/testbuild"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// installs matches a command that installs a release.
var installs = regexp.MustCompile(`^(tar -xzf |\./|sudo dpkg --install )capsem-bench_|^go install github\.com/capsem/capsem-bench/cmd/\.\.\.@latest`)

// Every command of the README exists: of capsem-bench the subcommand and its
// flags, of the shell what it is called with. The tests themselves are the
// proof of "go test ./...", and those of the command of "run".
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	binary := testbuild.Command(t)
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
			case strings.HasPrefix(line, "CGO_ENABLED=0 go test -c "):
			case strings.HasPrefix(line, "./capsem-bench.test "): // tools/guesttest runs it
			case strings.HasPrefix(line, "go tool benchstat "): // so it does this
			case strings.HasPrefix(line, `ssh -F "$(go run ./cmd/capsem-bench vm ssh-config `): // and the tests of the command this
			case strings.HasPrefix(line, `ssh -o ProxyCommand="go run ./cmd/capsem-bench vm proxy `): // and this
			case installs.MatchString(line): // .ci/release-try runs them
			case strings.Join(words, " ") == "capsem-bench run":
			default:
				assert.Fail(t, "a command that no test knows", line)
			}
			seen++
		}
	}
	assert.Greater(t, seen, 8)
}

var released = regexp.MustCompile(`(?m)^## \[?([0-9]+\.[0-9]+\.[0-9]+)`)

// The pages that say how to install name no release that the changelog does not
// have, and say so as long as there is none.
func TestReleasesThatThereAre(t *testing.T) {
	t.Parallel()
	var versions []string
	for _, m := range released.FindAllStringSubmatch(page(t, "CHANGELOG.md"), -1) {
		versions = append(versions, m[1])
	}
	for path, none := range map[string]string{"README.md": "No release is published yet", "docs/install.md": "None is\npublished yet"} {
		text := page(t, path)
		assert.Equal(t, len(versions) == 0, strings.Contains(text, none), "%s: %q", path, none)
		for _, m := range regexp.MustCompile(`capsem-bench[_:-]([0-9]+\.[0-9]+\.[0-9]+)|[@/]v([0-9]+\.[0-9]+\.[0-9]+)`).FindAllStringSubmatch(text, -1) {
			assert.Contains(t, versions, m[1]+m[2], path)
		}
	}
}

// The README's map and links name what is there, and the map every directory
// of the root.
func TestReadmeMap(t *testing.T) {
	t.Parallel()
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
	assert.LessOrEqual(t, lines, 12, "the map has a dozen lines at most")
	for _, path := range tracked(t) {
		if dir, _, ok := strings.Cut(path, "/"); ok && !strings.HasPrefix(dir, ".") {
			assert.Contains(t, after, dir+"/", "the map lacks a directory")
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	unsaid  = regexp.MustCompile("[^a-z0-9 _-]")
)

// Every link of every page that leads into the repository leads to a file, and
// to a heading where it names one, by GitHub's rule for their names.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, doc := range tracked(t) {
		if !strings.HasSuffix(doc, ".md") || strings.Contains(doc, "testdata/") {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(page(t, doc), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			to := filepath.Join(filepath.Dir(doc), path)
			if path == "" {
				to = doc
			}
			if _, err := os.Stat(filepath.Join(root(t), to)); !assert.NoError(t, err, "%s: %s", doc, m[1]) || anchor == "" {
				continue
			}
			var anchors []string
			for _, h := range heading.FindAllStringSubmatch(page(t, to), -1) {
				anchors = append(anchors, strings.ReplaceAll(unsaid.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
			}
			assert.Contains(t, anchors, anchor, "%s: %s", doc, m[1])
		}
	}
}

// just lists at most a dozen recipes; what else CI needs begins with _ or is
// marked private.
func TestPublicRecipes(t *testing.T) {
	t.Parallel()
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
