package snapshotscli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// script puts a snapshots command into PATH that prints what it is told and
// keeps its arguments.
func script(t *testing.T, output string) (cli *CLI, args func() string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "output"), []byte(output), 0o600))
	text := fmt.Sprintf("#!/bin/sh\necho \"$@\" > %[1]s/args\ncat %[1]s/output\n", dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "snapshots"), []byte(text), 0o700))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	cli, err := Find()
	require.NoError(t, err)
	return cli, func() string {
		args, err := os.ReadFile(filepath.Join(dir, "args"))
		require.NoError(t, err)
		return strings.TrimSpace(string(args))
	}
}

func TestSnapshotCreate(t *testing.T) {
	for _, tt := range []struct{ name, output, err string }{
		{"good", `{"available": 11, "checkpoint": "cp-10", "hash": "00", "name": "bench_10"}`, ""},
		{"other name", `{"checkpoint": "cp-10", "name": "x"}`, `create answered the name "x"; want "bench_10"`},
		{"no id", `{"name": "bench_10"}`, `create answered the checkpoint ""; want cp-<number>`},
		{"odd id", `{"checkpoint": "cp-1 --all", "name": "bench_10"}`, `create answered the checkpoint "cp-1 --all"; want cp-<number>`},
		{"array", `[]`, "snapshots create: unexpected output: "},
		{"nothing", ``, "snapshots create: no output"},
		{"words", `"all slots busy"`, `snapshots create: an answer in words: "all slots busy"`},
		{"two values", `{} {}`, "snapshots create: output that is no JSON: "},
		{"raw control character", "{\"name\": \"bench\x01\"}", "snapshots create: output that is no JSON: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cli, args := script(t, tt.output)
			var start time.Time
			var elapsed time.Duration
			cp, err := cli.TimedBy(func(run func() error) error {
				start = time.Now()
				defer func() { elapsed = time.Since(start) }()
				return run()
			}).Create(t.Context(), "bench_10")
			assert.Equal(t, "create bench_10 --json", args())
			assert.Positive(t, elapsed)
			assert.WithinDuration(t, time.Now(), start, time.Minute)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "cp-10", cp.ID)
		})
	}
}

const cutList = `"Content length: 15312\nShowing: 0..5000\nUse start_index=5000 to continue.\n\n{\"auto_max\":10,\"manual_available\":11,\"manual_max\":12,\"snapshots\":[{\"age\":\"just now\",\"chang"`

func TestSnapshotList(t *testing.T) {
	cli, args := script(t, `{"auto_max": 10, "manual_available": 11, "manual_max": 12, "snapshots": [
		{"age": "just now", "changes": [], "checkpoint": "cp-10", "files_count": 10, "hash": null, "name": "bench_10", "origin": "manual", "slot": 10},
		{"age": "1 min ago", "changes": [], "checkpoint": "cp-0", "files_count": 3, "hash": null, "name": null, "origin": "auto", "slot": 0}]}`)
	l, err := cli.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "list --json", args())
	e, ok := l.Find("cp-10")
	assert.True(t, ok)
	assert.Equal(t, Entry{"cp-10", "bench_10", "manual", 10}, e)
	used, known := l.Used()
	assert.True(t, known)
	assert.Equal(t, 1, used)

	cli, _ = script(t, cutList)
	l, err = cli.List(t.Context())
	require.NoError(t, err)
	require.NotNil(t, l.Cut)
	assert.Equal(t, CutError{5000, 15312}, *l.Cut)
	used, known = l.Used()
	assert.True(t, known)
	assert.Equal(t, 1, used)
	assert.Empty(t, l.Snapshots)

	cli, _ = script(t, `"No checkpoints available yet."`)
	l, err = cli.List(t.Context())
	require.NoError(t, err)
	used, known = l.Used()
	assert.True(t, known)
	assert.Zero(t, used)
}

func TestSnapshotChanges(t *testing.T) {
	cli, args := script(t, `[{"path": "d/f", "op": "modified", "size": 39, "checkpoint": "cp-10", "checkpoint_origin": "manual", "checkpoint_name": null},
		{"path": "d/g", "op": "deleted", "size": null, "checkpoint": "cp-0"}]`)
	rows, err := cli.Changes(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "changes --json", args())
	require.Len(t, rows, 2)
	size := int64(39)
	assert.Equal(t, []Change{{"d/f", "modified", &size, "cp-10", "manual"}, {"d/g", "deleted", nil, "cp-0", ""}}, rows)

	// A newer command might print the text as it is.
	for _, output := range []string{cutList, "Content length: 15312\nShowing: 0..5000\n\n[{"} {
		cli, _ = script(t, output)
		_, err = cli.Changes(t.Context())
		var cut *CutError
		require.ErrorAs(t, err, &cut)
		assert.EqualError(t, cut, "response truncated to 5000 of 15312 bytes: this Capsem cuts list and changes")
	}
	cli, _ = script(t, `"No checkpoints available yet."`)
	_, err = cli.Changes(t.Context())
	assert.ErrorIs(t, err, ErrNoCheckpoints)
}

func TestSnapshotRevertAndDelete(t *testing.T) {
	cli, args := script(t, `{"action": "restored", "checkpoint": "cp-10", "path": "a/b", "reverted": true}`)
	err := cli.Revert(t.Context(), "a/b", "cp-10")
	require.NoError(t, err)
	assert.Equal(t, "revert a/b cp-10 --json", args())
	err = cli.Revert(t.Context(), "a/c", "cp-10")
	assert.ErrorContains(t, err, `path "a/b"`)

	cli, args = script(t, `{"checkpoint": "cp-10", "deleted": true}`)
	err = cli.Delete(t.Context(), "cp-10")
	require.NoError(t, err)
	assert.Equal(t, "delete cp-10 --json", args())
	err = cli.Delete(t.Context(), "cp-11")
	assert.ErrorContains(t, err, `want "cp-11"`)
}

func TestCommandAbsent(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Find()
	assert.EqualError(t, err, "skipped: no snapshots command in PATH; it belongs to a Capsem guest")
}

func TestWithGrace(t *testing.T) {
	parent, stop := context.WithCancelCause(t.Context())
	ctx, cancel := withGrace(parent, time.Millisecond)
	defer cancel()
	require.NoError(t, ctx.Err())
	why := errors.New("why")
	stop(why)
	<-ctx.Done()
	assert.Equal(t, why, context.Cause(ctx))
}

func FuzzSnapshotAnswer(f *testing.F) {
	f.Add([]byte(cutList))
	f.Add([]byte(`"Content length: 1\nShowing: 0..\n\n{\"manual_max\":{}"`))
	f.Add([]byte(`{"manual_max": 1e9, "snapshots": null}`))
	f.Add([]byte("Content length: 9\nShowing: 0..5\n\n{\"a\":1.5,\"manual_max\":2"))
	f.Fuzz(func(_ *testing.T, out []byte) {
		var l List
		err := readAnswer(out, &l)
		var cut *cutText
		if errors.As(err, &cut) {
			frontNumbers(cut.text)
		}
		l.Used()
		l.Find("cp-1")
	})
}
