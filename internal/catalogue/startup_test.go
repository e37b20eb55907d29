package catalogue

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseCLIs(t *testing.T) {
	clis, err := ParseCLIs("python3, node,mytool --version,/opt/x/my-tool  --help all,./run.sh,日git status")
	require.NoError(t, err)
	assert.Equal(t, []CLI{
		{"python3", []string{"python3", "--version"}},
		{"node", []string{"node", "--version"}},
		{"mytool", []string{"mytool", "--version"}},
		{"my_tool_help_all", []string{"/opt/x/my-tool", "--help", "all"}},
		{"run.sh", []string{"./run.sh", "--version"}},
		{"_git_status", []string{"日git", "status"}},
	}, clis)
	for _, cli := range clis {
		op, ok := Lookup("BenchmarkStartup/cli=" + cli.Name + "-2")
		assert.True(t, ok, cli.Name)
		assert.Equal(t, StartupOp(cli.Name), op)
		byID, ok := ByID(op.ID)
		assert.True(t, ok, op.ID)
		assert.Equal(t, op, byID)
		assert.Equal(t, op.ID, Key(op.Name))
	}
	standard, err := ParseCLIs(DefaultCLIs)
	require.NoError(t, err)
	assert.Equal(t, Ops(Settings{}), Ops(Settings{CLIs: standard}))
}

func TestParseCLIsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "want commands with commas between them",
		"node,":                            "want commands with commas between them",
		"node,,python3":                    "want commands with commas between them",
		" \t":                              "want commands with commas between them",
		"node,/usr/bin/node":               "node is there twice",
		"my-tool,my_tool":                  "my_tool is there twice",
		"sh -c 'exit 0'":                   "want no quotes",
		`sh -c "exit 0"`:                   "want no quotes",
		"a`b`":                             "want no quotes",
		`a\ b`:                             "want no quotes",
		"--version":                        "want a command before its arguments",
		"a\x1b[31m":                        `"a\x1b[31m": want printable characters`,
		"a\x00b":                           "want printable characters",
		"a\nb":                             "want printable characters",
		"a\u202eb":                         "want printable characters",
		"a\xff":                            "want printable characters",
		"/":                                "want a command with a letter or a digit in its name",
		"..":                               "want a command with a letter or a digit in its name",
		strings.Repeat("x", 65):            "want a command and arguments of at most 64 characters",
		"x " + strings.Repeat(" ", 1000):   "want at most 1000 bytes",
		strings.Repeat("a,b,", 30) + "c":   "a is there twice",
		manyCLIs(51):                       "want at most 50 commands",
		"Disk/op=x,Snapshot/files=1/op=y/": "want a command with a letter or a digit in its name",
	} {
		_, err := ParseCLIs(text)
		assert.ErrorContains(t, err, want, "%q", text)
	}
	_, err := ParseCLIs(manyCLIs(50))
	assert.NoError(t, err)
}

func manyCLIs(n int) string {
	var out []string
	for i := range n {
		out = append(out, "tool"+strings.Repeat("x", i))
	}
	return strings.Join(out, ",")
}

// What is in the place of a command's name is one only if ParseCLIs makes such
// names.
func TestStartupNames(t *testing.T) {
	for _, name := range []string{"Startup", "Startup/cli=", "Startup/cli=a/b", "Startup/cli=a b", "Startup/cli=a-b", "Startup/x=a", "Startup/cli=é"} {
		_, ok := Lookup(name)
		assert.False(t, ok, name)
	}
	assert.True(t, ByDefault("startup/node"))
	assert.False(t, ByDefault("startup/mytool"))
}
