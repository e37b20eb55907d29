package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// resultsDir has more result files, of a real Capsem; see the recipe _pairs.
var moreResults = flag.String("results", "", "hold the Capsem result files in this `DIR` to the rules too")

// TestResultFilePairs compares Capsem's result files with each other, each
// pair in both orders, as single boots and as if each had been measured in
// many boots. What the files say is read here without any code of ours.
func TestResultFilePairs(t *testing.T) {
	t.Parallel()
	dirs := []string{filepath.Join("testdata", "results")}
	if *moreResults != "" {
		dirs = append(dirs, *moreResults)
	}
	for _, dir := range dirs {
		names, err := filepath.Glob(filepath.Join(dir, "*.json"))
		require.NoError(t, err)
		require.Greater(t, len(names), 1, dir)
		var files []*resultFile
		for _, name := range names {
			f := readResultFile(t, name)
			f.boots = importText(t, f.name)
			files = append(files, f)
		}
		seen := make(map[string]int)
		for _, old := range files {
			for _, new := range files {
				if old != new {
					t.Run(filepath.Base(old.name)+" "+filepath.Base(new.name), func(t *testing.T) { comparePair(t, old, new, seen) })
				}
			}
			t.Run("promote "+filepath.Base(old.name), func(t *testing.T) { promoteFile(t, old, seen) })
		}
		// The rules say nothing where nothing meets them.
		for _, what := range []string{"comparable", "another arch", "another workload", "improved", "slower", "failed", "promoted"} {
			assert.Positive(t, seen[what], "%s: no pair or file that is %s", dir, what)
		}
	}
}

// A resultFile is a result file and what it says.
type resultFile struct {
	name, arch string
	work       map[string]string // by category: what was asked for
	failed     bool              // most requests
	boots      string            // directory of many boots that say the same
}

func readResultFile(t *testing.T, name string) *resultFile {
	t.Helper()
	var doc struct {
		Arch string
		Disk struct {
			SizeMB int `json:"size_mb"`
		}
		HTTP struct {
			Skipped     bool
			URL         string
			Total       int `json:"total_requests"`
			Concurrency int
			Failed      int
		}
		Throughput struct {
			Skipped bool
			URL     string
		}
	}
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &doc), name)
	full, err := filepath.Abs(name)
	require.NoError(t, err)
	f := &resultFile{name: full, arch: doc.Arch, work: map[string]string{"disk": fmt.Sprint(doc.Disk.SizeMB)}}
	if !doc.HTTP.Skipped {
		f.work["http"] = fmt.Sprint(doc.HTTP.URL, doc.HTTP.Total, doc.HTTP.Concurrency)
	}
	if !doc.Throughput.Skipped {
		f.work["throughput"] = doc.Throughput.URL
	}
	f.failed = doc.HTTP.Failed > 0
	return f
}

// refused says why a pair is not comparable: "" where it is.
func (f *resultFile) refused(to *resultFile) string {
	if f.arch != to.arch {
		return "another arch"
	}
	for category, work := range f.work {
		if other, ok := to.work[category]; ok && (work != other || strings.HasSuffix(work, " 0")) {
			return "another workload"
		}
	}
	return ""
}

// runHere runs a command that reads files alone in this process: to start one
// takes longer than what it does.
func runHere(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, complaints bytes.Buffer
	status = newApp(strings.NewReader(""), &out, &complaints).run(t.Context(), args)
	return status, out.String(), complaints.String()
}

func comparePair(t *testing.T, old, new *resultFile, seen map[string]int) {
	why := old.refused(new)
	status, stdout, stderr := runHere(t, "compare", old.name, new.name)
	switch why {
	case "":
		assert.Equal(t, exitOK, status, stderr)
		seen["comparable"]++
	case "another arch":
		assert.Equal(t, exitUnfit, status)
		assert.Contains(t, stderr, "arch "+old.arch+" against "+new.arch)
		assert.Empty(t, stdout, "nothing of it is comparable")
	default:
		assert.Equal(t, exitUnfit, status)
		assert.Regexp(t, `(http/get|throughput/get)[^:]*: .*(workload|URL)`, stderr)
	}
	seen[why]++
	noImprovementIsSlower(t, old.name, new.name, false, seen)

	// One boot shows nothing. Many boots that say the same block whatever
	// is worse, so what is better must still not be.
	dir := t.TempDir()
	base, cand := filepath.Join(dir, "base"), filepath.Join(dir, "cand")
	for i := range 16 {
		writeBoot(t, old, filepath.Join(base, record.BootFile(i)), boottest.Base, 2*i+1)
		writeBoot(t, new, filepath.Join(cand, record.BootFile(i)), boottest.Cand, 2*i+2)
	}
	noImprovementIsSlower(t, base, cand, true, seen)
}

// noImprovementIsSlower holds every judged metric to its two medians. Where
// the boots are many, what is much worse has to be called so.
func noImprovementIsSlower(t *testing.T, old, new string, many bool, seen map[string]int) {
	t.Helper()
	status, stdout, stderr := runHere(t, "compare", "--force", "--format", "json", old, new)
	require.Equal(t, exitOK, status, stderr)
	var doc struct {
		Findings []struct {
			Key, Unit, Verdict string
			Primary            bool
			Old, New           struct{ Median *float64 }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &doc))
	judged := 0
	for _, f := range doc.Findings {
		if !f.Primary || f.Old.Median == nil || f.New.Median == nil || f.Verdict == "failed" {
			continue
		}
		judged++
		ratio := *f.New.Median / *f.Old.Median // above 1 is slower
		if slices.Contains([]string{"B/s", "iops", "req/s"}, f.Unit) {
			ratio = 1 / ratio
		} else {
			require.Contains(t, f.Unit, "ns", f.Key)
		}
		switch {
		case ratio <= 1:
			assert.NotEqual(t, "slower", f.Verdict, "%s is better: %g became %g %s", f.Key, *f.Old.Median, *f.New.Median, f.Unit)
			seen["improved"]++
		case many && ratio > 1.2:
			assert.Equal(t, "slower", f.Verdict, "%s: %g became %g %s", f.Key, *f.Old.Median, *f.New.Median, f.Unit)
			seen["slower"]++
		}
	}
	assert.Greater(t, judged, 10)
}

// writeBoot writes a result file as the text of one of many boots of three
// rounds each.
func writeBoot(t *testing.T, f *resultFile, to, side string, slot int) {
	t.Helper()
	text, err := record.Append(nil, &record.Boot{Type: record.TypeBoot, Side: side, Stage: 1, Slot: slot, Seed: 1, Time: 1.8e9 + float64(slot)})
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
	require.NoError(t, os.WriteFile(to, append(text, f.boots...), 0o644))
}

// importText is a result file as benchmark text, every round three times.
func importText(t *testing.T, name string) string {
	t.Helper()
	tr := newTrial(t)
	require.Equal(t, exitOK, tr.run(t, "import", name), tr.stderr.String())
	var out bytes.Buffer
	for line := range bytes.Lines(tr.stdout.Bytes()) {
		times := 1
		if bytes.HasPrefix(line, []byte("Benchmark")) {
			times = 3
		}
		out.Write(bytes.Repeat(line, times))
	}
	return out.String()
}

// promoteFile makes a baseline of a file: as it is, of as many boots as a
// baseline has.
func promoteFile(t *testing.T, f *resultFile, seen map[string]int) {
	tr := newTrial(t)
	assert.Equal(t, exitFailed, tr.run(t, "gate", "promote", "baseline", f.name))
	assert.Contains(t, tr.stderr.String(), "1 boot: a quick run")

	tr = newTrial(t)
	for i := range 8 {
		writeBoot(t, f, filepath.Join(tr.dir, "boots", record.BootFile(i)), boottest.Base, i+1)
	}
	status := tr.run(t, "gate", "promote", "baseline", "boots")
	if !f.failed {
		if status == exitOK {
			seen["promoted"]++
			assert.FileExists(t, filepath.Join(tr.dir, "baseline", "boot-001.txt"))
		} else {
			assert.NotContains(t, tr.stderr.String(), "requests failed")
		}
		return
	}
	seen["failed"]++
	assert.Equal(t, exitFailed, status)
	assert.Regexp(t, `http/get: failed in 8 boots: \d+ of \d+ requests failed`, tr.stderr.String())
	assert.NoDirExists(t, filepath.Join(tr.dir, "baseline"))
}
