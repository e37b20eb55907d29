package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUsage(t *testing.T) {
	short := filepath.Join(t.TempDir(), "short.jsonl")
	require.NoError(t, os.WriteFile(short, []byte(`{"metrics":{"a_ms":[1]}}`), 0o600))
	for _, args := range [][]string{{"x"}, {"-releases", "-1"}, {"-nope"}, {"-recording", "absent"}, {"-recording", short}} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, 2, run(args, &stdout, &stderr), "%v", args)
		assert.Empty(t, stdout.String())
		assert.NotEmpty(t, stderr.String())
	}
}

// TestTooFewToTell shows that the check can fail: three releases leave an
// interval of false alarms far beyond the limit.
func TestTooFewToTell(t *testing.T) {
	var stdout, stderr bytes.Buffer
	assert.Equal(t, 1, run([]string{"-releases", "3", "-slowed", "0", "-parts", "0", "-found", "0", "-fleets", "0", "-splits", "0"}, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "nasty: 0.00 % (0.00-70.76) false alarms; at most 0.60 %, interval to 1.00 %")
	assert.Contains(t, stdout.String(), "False alarms in 3 unchanged releases (with 95 % interval)")
}
