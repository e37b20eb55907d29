package qemu

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An emulator that only root can reach is run by root.
func TestAccountReaches(t *testing.T) {
	t.Parallel()
	a := &account{id: firstAccount}
	dir := t.TempDir()
	program := filepath.Join(dir, "qemu")
	require.NoError(t, os.WriteFile(program, nil, 0o700))
	assert.Nil(t, a.reaching(program))
	assert.Same(t, a, a.reaching("/bin/sh"))
	assert.Nil(t, (*account)(nil).reaching("/bin/sh"))
}
