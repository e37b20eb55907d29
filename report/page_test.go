package report

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/capsem/capsem-bench/history"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hostile is text as a guest could say it.
const hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[31m\u202e\u0085](javascript:alert(3))"

// anInput makes a page with twenty releases, one change, two machines and a
// comparison; edit changes each boot.
func anInput(t testing.TB, edit func(*boottest.Boot)) Input {
	t.Helper()
	s, err := history.Open(t.Context(), filepath.Join(t.TempDir(), "history.db"))
	require.NoError(t, err)
	defer s.Close()
	for day := 1; day <= 20; day++ {
		m := boottest.New(uint64(day))
		if day >= 14 {
			m.Slow = map[string]float64{"snapshot/100/create": 0.4}
		}
		var docs []history.Document
		for i := range 3 {
			b := m.Next(boottest.Cand, 1)
			b.Mark, b.Run.Time = nil, float64(time.Date(2026, 1, day, 10, i, 0, 0, time.UTC).Unix())
			if edit != nil {
				edit(b)
			}
			docs = append(docs, history.Document{Name: fmt.Sprintf("boot-%d.txt", i), Data: b.Text()})
		}
		run, err := history.Read(fmt.Sprintf("run%d", day), history.Labels{"release": fmt.Sprintf("1.%d", day)}, docs)
		require.NoError(t, err)
		_, _, err = s.Add(t.Context(), run)
		require.NoError(t, err)
	}
	in := Input{Title: "a test", From: "a test", Made: time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)}
	in.Runs, err = s.Runs(t.Context(), history.Filter{})
	require.NoError(t, err)
	in.Trends, err = s.Trends(t.Context(), history.Query{Detector: history.DefaultDetector()})
	require.NoError(t, err)
	in.Suite = history.Suite(in.Trends, history.DefaultDetector())
	m := boottest.New(7)
	m.Slow, m.Edit = map[string]float64{"http/get": 0.3, "snapshot/10/list": -0.3}, edit
	in.Base, in.Cand = new(compare.Side), new(compare.Side)
	base, cand := m.Stages(16)
	for side, boots := range map[*compare.Side][]*boottest.Boot{in.Base: base, in.Cand: cand} {
		for _, b := range boots {
			read, _, err := compare.ParseBoots(b.Text(), "boot")
			require.NoError(t, err)
			side.Boots = append(side.Boots, read...)
		}
	}
	in.Comparison, err = compare.Judge(in.Base, in.Cand, compare.Options{Plan: compare.DefaultPlan(), Policy: compare.DefaultPolicy()})
	require.NoError(t, err)
	in.Decision = compare.Gate(in.Comparison)
	in.Inside = insideInput()
	return in
}

func render(t testing.TB, in Input) string {
	t.Helper()
	var buf bytes.Buffer
	require.NoError(t, Write(&buf, in))
	return buf.String()
}

func TestPageSaysWhatChanged(t *testing.T) {
	page := render(t, anInput(t, nil))
	assert.Contains(t, page, "slower since 1.14 (1.13 before)")
	assert.Contains(t, page, "Block.")
	assert.Regexp(t, `class="headline">[0-9.]+[kM]? iops<`, page, "a tile says the unit of its value")
	assert.Contains(t, page, `id="run-20"`)
	assert.Less(t, len(page), 2<<20, "20 releases and 30 operations")
	ids := make(map[string]bool)
	for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		assert.False(t, ids[m[1]], "%s is there twice", m[1])
		ids[m[1]] = true
	}
	for _, m := range regexp.MustCompile(` href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		assert.True(t, ids[strings.TrimPrefix(m[1], "#")], "%s leads nowhere", m[1])
	}
	assert.NotRegexp(t, `(src|href)="[a-z]+:`, page, "nothing is loaded")
	assert.NotContains(t, page, "ZgotmplZ")
}

func hostileInput(t testing.TB) Input {
	return anInput(t, func(b *boottest.Boot) {
		b.Run.CPU, b.Run.Kernel = hostile, hostile
		b.Run.Labels = map[string]string{"note": "<b>bold</b>", "machine": "<i>one</i>"}
		b.Fail("startup/node", hostile)
		name := "Disk/op=" + strings.ReplaceAll(hostile, " ", "/") // the format has no blank in a name
		b.Ops = append(b.Ops, boottest.Op{
			Op:     catalogue.Op{Category: catalogue.Disk, ID: name, Name: name, Units: []string{"ns/op"}},
			Values: []map[string]float64{{"ns/op": 1e6}, {"ns/op": 1e6}}, Status: record.Status{Type: record.TypeStatus, Op: name, Status: record.OK},
		})
	})
}

// Guest to results: what a guest names never becomes markup.
func TestHostileNamesAreText(t *testing.T) {
	page := render(t, hostileInput(t))
	assert.NotContains(t, page, "<script>alert")
	assert.NotContains(t, page, "<img")
	assert.NotContains(t, page, "<b>bold")
	assert.NotContains(t, page, "<i>one")
	assert.Contains(t, page, "&lt;script&gt;alert(1)", "it is said all the same")
	for _, c := range []string{"\x1b", "\u202e", "\u0085"} {
		assert.NotContains(t, page, c)
	}
	assert.Equal(t, 1, strings.Count(page, "<script>"), "its own")
}

func TestScale(t *testing.T) {
	s := newScale([]float64{1, 100}, 0, 100)
	assert.True(t, s.log)
	assert.InDelta(t, 50, s.at(10), 1e-9)
	s = newScale([]float64{0, 10}, 0, 100)
	assert.False(t, s.log)
	for _, values := range [][]float64{nil, {5}, {5, 5}, {0, 0}, {1e-9, 1e12}, {-3, 4}} {
		s := newScale(values, 0, 100)
		for _, v := range values {
			at := s.at(v)
			assert.False(t, math.IsNaN(at) || at < 0 || at > 100, "%v: %v at %v", values, v, at)
		}
		assert.LessOrEqual(t, len(s.ticks(4, "ns/op")), 9, values)
	}
}

func TestEmptyPage(t *testing.T) {
	assert.Contains(t, render(t, Input{}), "<h1>capsem-bench</h1>")
}

func BenchmarkPage(b *testing.B) {
	in := anInput(b, nil)
	for b.Loop() {
		var buf bytes.Buffer
		if err := Write(&buf, in); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(buf.Len()), "page-B")
	}
}
