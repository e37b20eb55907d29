package compare

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext/layout"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A situation is boots that a release engineer may have in front of them.
type situation struct {
	name   string
	maker  *boottest.Maker
	boots  []int
	opt    Options
	status Status
	says   string // the beginning of the answer
	next   string // what a shell takes next; "" where there is nothing to do
}

// commands are what is known of a trial's builds.
func (o Options) ofTrial() Options {
	o.Trial = "capsem-bench ab --base v1.4 --cand main --sandbox qemu"
	o.Mended = "capsem-bench ab --base v1.4 --cand FIXED --sandbox qemu"
	o.Resume = o.Trial + " --out results/20261130-a1b2"
	return o
}

func situations() []situation {
	noisy := func(seed uint64, sd float64, slow map[string]float64) *boottest.Maker {
		m := slowed(seed, slow)
		m.Boot, m.Rounds = sd, 5
		return m
	}
	faster := make(map[string]float64)
	for _, op := range catalogue.Ops(catalogue.Settings{}) {
		if op.Category != catalogue.Startup {
			faster[op.ID] = -0.3
		}
	}
	sequential := noisy(4, 0.02, map[string]float64{"disk/seq_read": 0.3})
	sequential.Sequential = true
	changed := noisy(7, 0.02, nil)
	changed.Edit = func(b *boottest.Boot) {
		if b.Side == boottest.Cand && b.Mark.Slot > 8 {
			b.Machine = []record.Machine{{Type: record.TypeMachine, Unfit: []string{"burn-in: its time changed by 24 % during the measurement"}}, {Type: record.TypeMachine}}
		}
	}
	partial := noisy(8, 0.02, nil)
	lost := 0
	partial.Edit = func(b *boottest.Boot) {
		if b.Side == boottest.Cand {
			b.Drop("startup/codex")
			if lost++; lost <= 3 {
				b.Fail("http/get", "3 of 50 requests failed: connection reset by peer")
			}
		}
	}
	ticking := noisy(10, 0.02, nil)
	ticks := 0
	ticking.Edit = func(b *boottest.Boot) {
		ticks++
		at := 3 + ticks/2%2
		if b.Side == boottest.Cand {
			at++
		}
		for _, v := range b.Find("snapshot/10/list").Values {
			v["ns/op"] = float64(at) * 1e7
		}
	}
	return []situation{
		{"pass", noisy(1, 0.02, nil), []int{6}, Options{}.ofTrial(), Pass, "PASS: ", ""},
		{"block-one-op", noisy(2, 0.02, map[string]float64{"snapshot/100/create": 0.15}), []int{6, 4}, Options{}.ofTrial(), Block, "BLOCK: 1 of 29 ", "capsem-bench ab"},
		{"block-everything", noisy(3, 0.02, everything(0.1)), []int{16}, Options{}, Block, "BLOCK: everything", "capsem-bench ab"},
		{"not-interleaved", sequential, []int{16}, Options{}, CannotTell, "CANNOT TELL: ", "capsem-bench ab"},
		{"underpowered", noisy(5, 0.02, map[string]float64{"disk/seq_read": 0.5}), []int{4}, Options{}, CannotTell, "CANNOT TELL: ", "capsem-bench ab"},
		{"mostly-faster", noisy(6, 0.02, faster), []int{6}, Options{}.ofTrial(), Pass, "PASS: ", ""},
		{"machine-changed", changed, []int{16}, Options{}.ofTrial(), CannotTell, "CANNOT TELL: ", "capsem-bench doctor"},
		{"partial-runs", partial, []int{16}, Options{}, Block, "BLOCK: ", "capsem-bench ab"},
		{"few-boots", noisy(9, 0.02, nil), []int{5}, Options{NoMore: true}, Pass, "PASS: ", ""},
		{"clock-resolution", ticking, []int{16}, Options{}, Pass, "PASS: ", ""},
	}
}

// TestSituations holds what is said in ten situations to the goldens, in 80
// columns of text and in Markdown: the answer first, with both values of what
// changed, then what to do, as a command where there is one.
func TestSituations(t *testing.T) {
	for _, s := range situations() {
		t.Run(s.name, func(t *testing.T) {
			base, cand := sides(t, s.maker, s.boots...)
			base.Name, cand.Name = "results/20261130-a1b2/base", "results/20261130-a1b2/cand"
			c, err := Judge(base, cand, s.opt)
			require.NoError(t, err)
			d := Gate(c)
			assert.Equal(t, s.status, d.Status)
			var text, markdown bytes.Buffer
			require.NoError(t, WriteText(&text, c, d, TextOptions{Width: 80}))
			require.NoError(t, WriteMarkdown(&markdown, c, d, false))
			for ext, out := range map[string]*bytes.Buffer{".txt": &text, ".md": &markdown} {
				name := filepath.Join("testdata", "situations", s.name+ext)
				if *update {
					require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
					require.NoError(t, os.WriteFile(name, out.Bytes(), 0o644))
				}
				want, err := os.ReadFile(name)
				require.NoError(t, err, "make it with -update")
				assert.Equal(t, string(want), out.String())
				for _, test := range []string{"Holm", "maxT", "Westfall", "Mann", "Hodges", "van Elteren", "p-value", "rank"} {
					assert.NotContains(t, out.String(), test, "no name of a test")
				}
			}
			assert.True(t, strings.HasPrefix(text.String(), s.says), text.String())
			for l := range strings.SplitSeq(text.String(), "\n") {
				assert.LessOrEqual(t, layout.Width(l), 80, l)
			}
			assert.Equal(t, s.next != "", strings.Contains(text.String(), "\n  next: "+s.next), "next: %s", s.next)
		})
	}
}
