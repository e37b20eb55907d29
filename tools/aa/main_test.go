package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// write makes boots that never ran, of one build or of two.
func write(t *testing.T, boots int, edit func(i int, b *boottest.Boot)) string {
	dir := t.TempDir()
	m := boottest.New(3)
	m.Ops = catalogue.Select(m.Ops, catalogue.Snapshot)
	for i := range boots {
		b := m.Next("", 1)
		b.Mark = nil
		if edit != nil {
			edit(i, b)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, record.BootFile(i+1)), b.Text(), 0o644))
	}
	return dir
}

func TestSplits(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	status := run(context.Background(), []string{"-in", write(t, 40, nil), "-splits", "5"}, &out, &errs)
	assert.Zero(t, status, errs.String())
	assert.Regexp(t, `none +│ - +│ 0\.0 %`, out.String())
	assert.Regexp(t, `\+100 % +│ 100\.0 %`, out.String())
}

// TestSplitsFindWhatIsWrong gives it a boot in which an op fails: that stops a build
// whose boots are otherwise alike.
func TestSplitsFindWhatIsWrong(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	dir := write(t, 40, func(i int, b *boottest.Boot) {
		if i == 5 {
			b.Fail("snapshot/10/list", "it broke")
		}
	})
	assert.Equal(t, exitWrong, run(context.Background(), []string{"-in", dir, "-splits", "10"}, &out, &errs))
	assert.Contains(t, errs.String(), "of splits without a change are stopped")

	overlooks := []*tally{{slower: twice, passed: 4, splits: 100}}
	assert.Contains(t, fmt.Sprint(verdict(overlooks)), "twice the time is overlooked in 4 of 100 splits")
	assert.Contains(t, fmt.Sprint(verdict([]*tally{{undecided: 9, splits: 9}})), "no split could be decided")
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"-boots", "30"},
		{"-boots", "41"},
		{"-splits", "-1"},
		{"-splits", "0", "-boots", "2"},
		{"-delay", "snapshots_create=x"},
		{"-delay", "snapshots_create=1ms", "snapshot"},
		{"-debug", "-delay", "snapshots_create=1ms"},
		{"-debug", "snapshot"},
		{"-image", "-debug"},
		{"no-such-category"},
	} {
		var out, errs bytes.Buffer
		assert.Equal(t, exitUsage, run(context.Background(), args, &out, &errs), args)
		assert.NotEmpty(t, errs.String())
	}
	var out, errs bytes.Buffer
	assert.Equal(t, exitUnfit, run(context.Background(), []string{"-in", write(t, 10, nil)}, &out, &errs))
	assert.Contains(t, errs.String(), "10 boots; want an even number from 32")
}

func TestSlow(t *testing.T) {
	text := "BenchmarkDisk/op=a-2 \t 1\t 100 ns/op\t 50 B/s\t 0 errors\nBenchmarkDisk/op=ab-2 1 100 ns/op\nBenchmarkDisk/op=a 1 10 ns/op\n"
	want := "BenchmarkDisk/op=a-2\t1\t125\tns/op\t40\tB/s\t0\terrors\nBenchmarkDisk/op=ab-2 1 100 ns/op\nBenchmarkDisk/op=a\t1\t12.5\tns/op\n"
	assert.Equal(t, want, string(slow([]byte(text), "Disk/op=a", 0.25)))
}

func TestJudge(t *testing.T) {
	want, err := delayedBy("snapshots_create=busy:200ms")
	require.NoError(t, err)
	assert.Equal(t, []string{"snapshot/10/create", "snapshot/100/create", "snapshot/500/create"}, slices.Sorted(slices.Values(want.named)))
	assert.Equal(t, []string{"http", "snapshot"}, want.measure)
	proxy, err := delayedBy("proxy=1ms,proxy_mib=1ms")
	require.NoError(t, err)
	assert.Equal(t, []string{"http/get", "throughput/get"}, slices.Sorted(slices.Values(proxy.named)))
	assert.Equal(t, []string{"http", "snapshot", "throughput"}, proxy.measure)
	_, err = delayedBy("gateway=1ms")
	require.ErrorContains(t, err, "slows no operation of its own")

	doc := func(named string) []byte {
		return []byte(`{"schema": "capsem-bench.compare/1", "gate": {"regressions": [` + named + `]}}`)
	}
	const all = `"snapshot/10/create", "snapshot/100/create", "snapshot/500/create"`
	tests := []struct {
		named  string
		status int
		want   string
	}{
		{all, 1, "[]"},
		{`"snapshot/10/create", "snapshot/100/create"`, 1, "[snapshot/500/create was made slower and is not named]"},
		{all + `, "snapshot/10/list"`, 1, "[]"},
		{all + `, "http/get"`, 1, "[http/get is named and nobody made it slower]"},
		{all, 3, "[the exit status is 3, not 1]"},
	}
	for _, tt := range tests {
		wrong, err := judge(doc(tt.named), tt.status, want, new(bytes.Buffer))
		require.NoError(t, err)
		assert.Equal(t, tt.want, fmt.Sprint(wrong))
	}
	wrong, err := judge(doc(`"http/get p95-ns", "throughput/get"`), 1, proxy, new(bytes.Buffer))
	require.NoError(t, err)
	assert.Empty(t, wrong)
	wrong, err = judge(doc(`"throughput/get"`), 1, proxy, new(bytes.Buffer))
	require.NoError(t, err)
	assert.Equal(t, []string{"http/get was made slower and is not named"}, wrong)
	wrong, err = judge(doc(all+`, "http/get p95-ns"`), 1, debugged(), new(bytes.Buffer))
	require.NoError(t, err)
	assert.Contains(t, wrong, "http/get p95-ns is named and nobody made it slower")
	assert.Contains(t, wrong, "snapshot/100/list was made slower and is not named")
	assert.NotContains(t, wrong, "snapshot/500/create was made slower and is not named")
	_, err = judge([]byte("usage"), 2, want, new(bytes.Buffer))
	require.ErrorContains(t, err, "status 2 and no comparison")
}
