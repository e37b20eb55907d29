package chromium

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A browser that is ended while it works leaves no file and no process.
func TestCloseLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", shortDir(t))
	for range 3 {
		b, err := Start(t.Context())
		if errors.Is(err, ErrNotInstalled) {
			t.Skip(err)
		}
		require.NoError(t, err)
		tab, cancel := b.Tab(t.Context())
		var title string
		require.NoError(t, chromedp.Run(tab, chromedp.Navigate("data:text/html,<title>a page</title>"), chromedp.Title(&title)))
		assert.Equal(t, "a page", title)
		require.NoError(t, b.Close())
		cancel()
		left, err := os.ReadDir(os.Getenv("TMPDIR"))
		require.NoError(t, err)
		assert.Empty(t, left)
		require.Eventually(t, func() bool { return len(group(t, b.pid)) == 0 }, time.Minute, 20*time.Millisecond)
	}
}

// shortDir is a directory in whose paths sockets can be.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "t")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.Remove(dir), "it is empty again") })
	return dir
}

// group returns the processes of a group that have not ended.
func group(t *testing.T, pgid int) (pids []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has just ended
		}
		_, rest, _ := strings.Cut(string(text), ") ") // proc_pid_stat(5): state, parent, group
		if f := strings.Fields(rest); len(f) > 2 && f[0] != "Z" && f[2] == strconv.Itoa(pgid) {
			pids = append(pids, name)
		}
	}
	return pids
}

func TestStartThatFails(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", shortDir(t))
	t.Setenv("PATH", dir)
	_, err := Start(t.Context())
	require.ErrorIs(t, err, ErrNotInstalled)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "chromium"), []byte("#!/bin/sh\nexit 7\n"), 0o755))
	_, err = Start(t.Context())
	require.ErrorContains(t, err, "ended before it answered: exit status 7")
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	assert.Empty(t, left)
}
