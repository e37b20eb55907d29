//go:build vmtest

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/testbuild"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The first commands of docs/capsem.md, word for word, measure in a real
// machine that the stand-in 'capsem' boots, and delete it.
func TestVMCapsemPage(t *testing.T) {
	v := newVMUse(t)
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "capsem.md"))
	require.NoError(t, err)
	blocks := pageCommands(page)
	require.NotEmpty(t, blocks)
	made, err := filepath.Abs(filepath.Join("testdata", "capsem"))
	require.NoError(t, err)
	home := filepath.Join(v.tmp, "capsem")
	cmd := v.command(t, "bash", "-euxo", "pipefail", "-c", blocks[0])
	// The VM needs the command too, which the stand-in is made of.
	cmd.Env = append(v.env, "CAPSEM_HOME="+home, "CAPSEM_VM_FLAGS=--accel tcg --tools=false",
		"PATH="+made+":"+filepath.Dir(testbuild.Command(t))+":"+os.Getenv("PATH"))
	var errs lockedBuffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, errs.String())
	assert.Contains(t, string(out), `"startup"`)
	rep := bootText(t, filepath.Join(cmd.Dir, "results", "try", textName))
	res := rep.Find("startup/python3")
	require.NotNil(t, res)
	assert.Equal(t, record.OK, res.Status, "%v", res.Note)
	assert.Equal(t, "capsem", rep.Run.Hostname, "it ran in the VM")
	left, err := os.ReadDir(home)
	require.NoError(t, err)
	assert.Empty(t, left)
	list := exec.CommandContext(t.Context(), v.binary, "vm", "list")
	list.Env = v.env
	running, err := list.Output()
	require.NoError(t, err)
	assert.Empty(t, string(running))
}
