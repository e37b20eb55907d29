package qemu

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/vmconfig"
)

func TestConsoleKeepsItsEnd(t *testing.T) {
	c := new(console)
	for i := range 2 * consoleLines {
		fmt.Fprintf(c, "line %d\r\n", i)
	}
	fmt.Fprint(c, "\x1b[2Jhalf\xff")
	lines := strings.Split(c.tail(), "\n  ")
	require.Len(t, lines, 1+consoleLines+1)
	assert.Equal(t, "line 50", lines[1])
	assert.Equal(t, `\x1b[2Jhalf\xff`, lines[len(lines)-1])
}

// A guest may print for ever, with and without newlines.
func TestConsoleIsBounded(t *testing.T) {
	c := new(console)
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	for range 64 {
		_, err := c.Write(chunk)
		require.NoError(t, err)
	}
	assert.Len(t, c.tail(), len("the console's last lines:\n  ")+maxConsoleLine)
	for range 1000 {
		fmt.Fprintf(c, "%s\n", chunk[:2*maxConsoleLine])
	}
	assert.Less(t, len(c.tail()), (consoleLines+1)*(maxConsoleLine+10))
}

func TestConsoleFindsStages(t *testing.T) {
	var seen []string
	c := &console{onStage: func(line string) { seen = append(seen, line) }}
	line := vmconfig.StageLine(vmconfig.StageHome, time.Second, "")
	for _, b := range []byte("noise\n[ 1.0] " + line + "Kernel panic - not syncing\n") {
		_, _ = c.Write([]byte{b})
	}
	assert.Equal(t, []string{"[ 1.0] " + strings.TrimSuffix(line, "\n")}, seen)
	assert.True(t, c.hasPanicked())
}
