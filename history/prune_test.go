package history

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func ids(runs []RunInfo) (out []int64) {
	for _, r := range runs {
		out = append(out, r.ID)
	}
	return out
}

func TestPrune(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		nightly1 := add(t, s, aRun(t, 1, 1, 1, Labels{"channel": "nightly"}, nil))
		release := add(t, s, aRun(t, 2, 2, 1, Labels{"release": "1.0"}, nil))
		nightly3 := add(t, s, aRun(t, 3, 3, 2, Labels{"channel": "nightly"}, nil))
		at10 := add(t, s, aRun(t, 10, 10, 1, nil, nil))
		keep := Retention{Before: time.Date(2026, 1, 10, 10, 0, 0, 0, time.UTC), KeepReleases: true}

		old, releases, err := s.Prunable(t.Context(), keep)
		require.NoError(t, err)
		assert.Equal(t, []int64{nightly1, nightly3}, ids(old), "a run of that very moment stays")
		assert.Equal(t, 1, releases)
		assert.Equal(t, 4, count(t, s, "runs"), "asking changes nothing")

		keep.KeepReleases = false
		old, releases, err = s.Prunable(t.Context(), keep)
		require.NoError(t, err)
		assert.Equal(t, []int64{nightly1, release, nightly3}, ids(old))
		assert.Zero(t, releases)
		keep.Labels = Labels{"channel": "nightly"}
		old, _, err = s.Prunable(t.Context(), keep)
		require.NoError(t, err)
		assert.Equal(t, []int64{nightly1, nightly3}, ids(old))

		require.NoError(t, s.RemoveRuns(t.Context(), append(ids(old), 999)), "one that is gone is no error")
		left, err := s.Runs(t.Context(), Filter{})
		require.NoError(t, err)
		assert.Equal(t, []int64{release, at10}, ids(left))
		for _, table := range []string{"texts", "run_texts", "boots"} {
			assert.Equal(t, 2, count(t, s, table), table)
		}
		assert.Equal(t, count(t, s, "figures_by_run"), count(t, s, "figures"))
		require.NoError(t, s.Compact(t.Context()))
		_, added, err := s.Add(t.Context(), aRun(t, 1, 1, 1, nil, nil))
		require.NoError(t, err)
		assert.True(t, added, "what was removed can be added again")
	})
}

// A text that two runs have stays as long as one of them.
func TestRemoveKeepsSharedTexts(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		whole := aRun(t, 1, 1, 2, nil, nil)
		half, err := Read("half", nil, whole.Documents[:1])
		require.NoError(t, err)
		first, second := add(t, s, whole), add(t, s, half)
		require.NoError(t, s.RemoveRuns(t.Context(), []int64{first}))
		docs, err := s.Documents(t.Context(), second)
		require.NoError(t, err)
		assert.Equal(t, whole.Documents[:1], docs)
		assert.Equal(t, 1, count(t, s, "texts"))
	})
}

// The file of a history becomes smaller with its runs.
func TestCompactGivesRoomBack(t *testing.T) {
	where := filepath.Join(t.TempDir(), "history.db")
	s := openStore(t, where)
	var all []int64
	for day := 1; day <= 30; day++ {
		all = append(all, add(t, s, aRun(t, uint64(day), 1+day%28, 1, Labels{"commit": fmt.Sprint(day)}, nil)))
	}
	size := func() int64 {
		info, err := os.Stat(where)
		require.NoError(t, err)
		return info.Size()
	}
	require.NoError(t, s.Compact(t.Context()))
	before := size()
	require.NoError(t, s.RemoveRuns(t.Context(), all[5:]))
	require.NoError(t, s.Compact(t.Context()))
	assert.Less(t, size(), before/2)
	assert.Equal(t, 5, count(t, s, "runs"))
}
