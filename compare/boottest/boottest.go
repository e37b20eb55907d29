// Package boottest makes the benchmark texts of boots that never ran, with
// known noise and known slowdowns: input for tests of what compares builds,
// and for measuring how long that takes.
package boottest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// The sides, as the host's boot lines name them.
const (
	Base = "base"
	Cand = "cand"
)

// A Maker makes boots. It is not safe for concurrent use.
type Maker struct {
	Ops    []catalogue.Op
	Rounds int
	Boot   float64            // sd between boots, in log
	Round  float64            // sd between rounds
	Slow   map[string]float64 // by op ID: how much slower the cand side is, 0.3 for 30 %
	Edit   func(*Boot)        // changes a boot before it is written; nil changes none
	// Sequential runs all of base before all of cand.
	Sequential bool

	rng  *rand.Rand
	slot int
}

// New returns a Maker of quiet boots of the whole catalogue.
func New(seed uint64) *Maker {
	return &Maker{
		Ops: catalogue.Ops(catalogue.Settings{}), Rounds: 4, Boot: 0.01, Round: 0.002,
		rng: rand.New(rand.NewPCG(seed, seed)),
	}
}

// ManyOps returns n ops of no catalogue, to measure with.
func ManyOps(n int) []catalogue.Op {
	ops := make([]catalogue.Op, n)
	for i := range ops {
		name := fmt.Sprintf("Disk/op=many_%02d", i)
		ops[i] = catalogue.Op{Category: catalogue.Disk, ID: name, Name: name, Units: []string{"ns/op", "B/s", "p50-ns", "p95-ns", "p99-ns", "max-ns"}}
	}
	return ops
}

// A Boot is one text before it is written.
type Boot struct {
	Side       string
	Mark       *record.Boot // the host's line; nil leaves it out
	Machine    []record.Machine
	Run        record.Run
	Categories []record.Category
	Ops        []Op
	End        *record.End // nil leaves it out

	slot int // also of a boot whose mark is left out
}

// An Op is the result of one op. Without values there is no result line.
type Op struct {
	catalogue.Op
	Values []map[string]float64 // by unit, one map a round
	Status record.Status
}

// Find returns the op with the ID.
func (b *Boot) Find(id string) *Op {
	i := slices.IndexFunc(b.Ops, func(op Op) bool { return op.ID == id })
	return &b.Ops[i]
}

// Drop removes an op as if it had never been asked for.
func (b *Boot) Drop(id string) {
	b.Ops = slices.DeleteFunc(b.Ops, func(op Op) bool { return op.ID == id })
}

// Fail makes an op one that failed.
func (b *Boot) Fail(id, reason string) {
	op := b.Find(id)
	op.Values, op.Status.Status, op.Status.Reason = nil, record.Failed, reason
}

// Skip makes an op one that was skipped.
func (b *Boot) Skip(id, reason string) {
	b.Fail(id, reason)
	b.Find(id).Status.Status = record.Skipped
}

// Next makes the next boot of a side.
func (m *Maker) Next(side string, stage int, categories ...catalogue.Category) *Boot {
	m.slot++
	b := &Boot{
		Side: side, slot: m.slot,
		Mark: &record.Boot{Type: record.TypeBoot, Side: side, Stage: stage, Slot: m.slot, Seed: 1, Time: 1.8e9 + 60*float64(m.slot)},
		Run: record.Run{
			Type: record.TypeRun, Schema: record.Schema, Version: record.ToolVersion, Time: 1.8e9 + 60*float64(m.slot) + 2, Seed: 1,
			Hostname: fmt.Sprintf("bench-%08x", m.slot), OS: "linux", Arch: "x86_64", Kernel: "6.12.1", CPU: "a CPU", CPUs: 2, MemoryBytes: 2 << 30,
			Root: true, Sandbox: "qemu", Accel: "kvm", Image: "sha256:aa", Rounds: m.Rounds,
		},
		Categories: []record.Category{
			{Type: record.TypeCategory, Category: "rootfs", ScanDirs: catalogue.ScanDirs(), LargestFile: "/opt/ai-clis/codex", LargestFileSize: 1 << 27},
			{Type: record.TypeCategory, Category: "http", URL: catalogue.DefaultHTTPURL, Requests: 50, Concurrency: 5},
			{Type: record.TypeCategory, Category: "throughput", URL: catalogue.DefaultThroughputURL},
		},
		End: &record.End{Type: record.TypeEnd, Time: 1.8e9 + 60*float64(m.slot) + 50, ElapsedNS: 48e9, Status: "ok"},
	}
	for i, op := range catalogue.Select(m.Ops, categories...) {
		b.Ops = append(b.Ops, m.op(op, i, side))
	}
	if m.Edit != nil {
		m.Edit(b)
	}
	return b
}

// op measures nothing and has the result.
func (m *Maker) op(op catalogue.Op, i int, side string) Op {
	out := Op{Op: op, Status: record.Status{Type: record.TypeStatus, Op: op.Name, Status: record.OK}}
	if op.Cold {
		out.Status.Cache, out.Status.Dropped = record.CacheCold, "drop_caches"
	}
	shift := m.Boot * m.rng.NormFloat64()
	if side == Cand {
		shift += math.Log1p(m.Slow[op.ID])
	}
	for range m.Rounds {
		slow := math.Exp(shift + m.Round*m.rng.NormFloat64())
		values := make(map[string]float64)
		for _, u := range op.Units {
			switch v := 1000003 * float64(i+1); {
			case u == "errors":
				values[u] = 0
			case catalogue.UnitOf(u).Kind == catalogue.Rate:
				values[u] = math.Round(v / slow)
			default:
				values[u] = math.Round(v * slow)
			}
		}
		out.Values = append(out.Values, values)
	}
	return out
}

// Text is the boot as the host would keep it.
func (b *Boot) Text() []byte {
	var out []byte
	add := func(v any) {
		line, err := record.Append(nil, v)
		if err != nil {
			panic(err) // a line of ours is never too long
		}
		out = append(out, line...)
	}
	if b.Mark != nil {
		add(b.Mark)
	}
	for _, m := range b.Machine {
		add(m)
	}
	run := b.Run
	run.Expected = nil
	for _, op := range b.Ops {
		run.Expected = append(run.Expected, op.Name)
	}
	add(run)
	for _, u := range catalogue.Units() {
		out = append(out, u.UnitLine()+"\n"...)
	}
	out = append(out, "goos: linux\ngoarch: amd64\npkg: github.com/capsem/capsem-bench\ncpu: "+b.Run.CPU+"\n"...)
	for _, c := range b.Categories {
		add(c)
	}
	for _, op := range b.Ops {
		out = op.append(out)
		for i, v := range op.Values {
			if math.IsNaN(v["ns/op"]) {
				continue // JSON has no word for it
			}
			add(record.Samples{Type: record.TypeSamples, Op: op.Name, Round: i + 1, ElapsedNS: int64(v["ns/op"]), Count: 1, Metrics: v})
		}
		add(op.Status)
	}
	if b.End != nil {
		add(b.End)
	}
	return out
}

// append adds the result lines.
func (op *Op) append(out []byte) []byte {
	for _, v := range op.Values {
		out = fmt.Appendf(out, "Benchmark%s-2\t1", op.Name)
		for _, u := range op.Units {
			if x, ok := v[u]; ok {
				out = fmt.Appendf(out, "\t%g %s", x, u)
			}
		}
		out = append(out, '\n')
	}
	return out
}

// Stages makes boots in pairs: so many a side in each stage, the sides of a
// pair in an order drawn by the Maker.
func (m *Maker) Stages(boots ...int) (base, cand []*Boot) {
	for stage, k := range boots {
		for i := range 2 * k {
			side := Base
			switch {
			case m.Sequential:
				if i >= k {
					side = Cand
				}
			case i%2 == 1 && len(base) > len(cand), i%2 == 0 && m.rng.IntN(2) == 1:
				side = Cand
			}
			b := m.Next(side, stage+1)
			if side == Base {
				base = append(base, b)
			} else {
				cand = append(cand, b)
			}
		}
	}
	return base, cand
}

// Write makes boots as Stages does and writes one file each into the
// directories base and cand of dir.
func (m *Maker) Write(dir string, boots ...int) error {
	base, cand := m.Stages(boots...)
	for _, b := range slices.Concat(base, cand) {
		to := filepath.Join(dir, b.Side)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, record.BootFile(b.slot)), b.Text(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
