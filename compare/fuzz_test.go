package compare

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzReadPolicy reads any gate.toml: what is wrong has a line of the file,
// and what is taken is in its range.
func FuzzReadPolicy(f *testing.F) {
	for _, text := range []string{
		"budget = 0.05\ntail_budget = 0.1\nsensitivity = 0.25\nmargin = 0\nrequired = [\"http/get\", \"snapshot\"]\n",
		"[ops.\"disk/rand_write_4k\"]\nbudget = 0.15\nsensitivity = 0.5\n",
		"[[mute]]\nop = \"startup/gemini\"\nreason = \"its own update check\"\nuntil = 2026-12-31\n",
		"[[mute]]\nop = \"snapshot/*/create\"\nreason = \"r\"\nuntil = \"2026-12-31\"\n",
		"budget = nan\n", "budget = inf", "budget = 5", "bugdet = 1", "budget = = 1", "[[mute]]\n", "[ops]\n[ops.\"[\"]\n", "ops.disk.budget = 0.1",
	} {
		f.Add(text)
	}
	place := regexp.MustCompile(`^gate\.toml:(\d+): `)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ReadPolicy(strings.NewReader(text), "gate.toml")
		if err != nil {
			m := place.FindStringSubmatch(err.Error())
			if m == nil {
				require.Contains(t, err.Error(), "gate.toml: ")
				return
			}
			line, err := strconv.Atoi(m[1])
			require.NoError(t, err)
			assert.LessOrEqual(t, line, strings.Count(text, "\n")+1)
			assert.Positive(t, line)
			return
		}
		inRange := func(v float64, zero bool) {
			assert.True(t, v > 0 && v < 1 || zero && v == 0, "%g", v)
		}
		inRange(p.Budget, false)
		inRange(p.TailBudget, false)
		inRange(p.Sensitivity, false)
		inRange(p.Margin, true)
		for _, op := range p.Ops {
			inRange(op.Budget, true)
			inRange(op.Sensitivity, true)
		}
		for _, m := range p.Mutes {
			assert.NotEmpty(t, m.Op)
			assert.NotEmpty(t, strings.TrimSpace(m.Reason))
			assert.False(t, m.Until.IsZero())
			_ = m.expired(time.Unix(1.8e9, 0))
		}
	})
}

// FuzzParseBoots reads any text or document as boots and judges them against
// good ones, in both orders: whatever it says can be written, and a side that
// says nothing never passes.
func FuzzParseBoots(f *testing.F) {
	m := boottest.New(1)
	base, cand := m.Stages(2)
	f.Add(base[0].Text())
	f.Add(append(base[0].Text(), cand[1].Text()...))
	f.Add([]byte("BenchmarkSnapshot/files=10/op=create 1 5 ns/op\n"))
	f.Add([]byte("#capsem {\"type\":\"boot\",\"slot\":-1}\nBenchmarkThroughput 1 0 ns/op NaN B/s\n"))
	f.Add([]byte("{\"Action\":\"output\",\"Output\":\"BenchmarkThroughput 1 5 ns/op\\n\"}\n"))
	docs, err := filepath.Glob("../cmd/capsem-bench/testdata/results/*.json")
	require.NoError(f, err)
	for _, name := range docs {
		text, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(text)
	}
	good := &Side{Name: "good"}
	for _, b := range base {
		boots, _, err := ParseBoots(b.Text(), "good")
		require.NoError(f, err)
		good.Boots = append(good.Boots, boots...)
	}
	schema := compareSchema(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		boots, _, err := ParseBoots(data, "in")
		if err != nil {
			assert.Contains(t, err.Error(), "in")
			return
		}
		require.NotEmpty(t, boots)
		if len(boots) > 4 {
			boots = boots[:4]
		}
		odd := &Side{Name: "odd", Boots: boots}
		_ = Promotable(odd)
		for _, sides := range [][2]*Side{{good, odd}, {odd, good}, {odd, odd}} {
			c, err := Judge(sides[0], sides[1], Options{})
			require.NoError(t, err)
			d := Gate(c)
			assert.NotEqual(t, Pass, d.Status, "so few boots pass nothing")
			for _, f := range c.Findings {
				assert.False(t, math.IsInf(f.Shift, 0), f.Key())
			}
			var text, md, doc, table bytes.Buffer
			require.NoError(t, WriteText(&text, c, d, TextOptions{Width: 80, All: true}))
			require.NoError(t, WriteMarkdown(&md, c, d, true))
			require.NoError(t, WriteJSON(&doc, c, d))
			require.NoError(t, WriteCSV(&table, c, d))
			holdToSchema(t, schema, doc.Bytes())
			for _, out := range []string{text.String(), md.String()} {
				assert.NotContains(t, out, "\x1b")
			}
		}
	})
}
