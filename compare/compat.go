package compare

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
)

// A Weight says what a difference between the sides means.
type Weight string

const (
	// Refuses: nothing, or this op, is comparable.
	Refuses Weight = "refused"
	// RefusesGate: the numbers can be looked at, not gated on.
	RefusesGate Weight = "not gated"
	// Doubts: stated beside the result.
	Doubts Weight = "doubt"
)

// A Difference is one thing in which the sides are not alike.
type Difference struct {
	What   string // "arch", "accel", "image", ..., as Options.Vary takes it
	Weight Weight
	Text   string // for people, both values in it
}

// attributes are what must be alike for boots to be comparable, in the order
// in which they are reported. unknown is the weight of a value that only one
// side states.
func attributes() []attribute {
	run := func(f func(*record.Run) string) func(Boot) string {
		return func(b Boot) string {
			if b.Run == nil {
				return ""
			}
			return f(b.Run)
		}
	}
	return []attribute{
		{"arch", Refuses, arch},
		{"accel", Refuses, run(func(r *record.Run) string { return r.Accel })},
		{"image", Refuses, run(func(r *record.Run) string { return r.Image })},
		{"sandbox", Refuses, run(func(r *record.Run) string { return r.Sandbox })},
		{"cpu", RefusesGate, cpu},
		{"cpus", RefusesGate, run(func(r *record.Run) string { return count(int64(r.CPUs)) })},
		{"memory", RefusesGate, run(memory)},
		{"root", RefusesGate, run(func(r *record.Run) string { return strconv.FormatBool(r.Root) })},
		{"kernel", Doubts, run(func(r *record.Run) string { return r.Kernel })},
		{"virtualization", Doubts, run(func(r *record.Run) string { return r.Virtualization })},
		{"tool", Doubts, run(func(r *record.Run) string { return r.Version })},
		{"source", Doubts, run(func(r *record.Run) string { return r.Source })},
	}
}

// Varying returns what may differ on purpose, for Options.Vary.
func Varying() []string {
	var out []string
	for _, a := range attributes() {
		out = append(out, a.what)
	}
	return append(out, "machine")
}

type attribute struct {
	what   string
	weight Weight
	of     func(Boot) string
}

func arch(b Boot) string {
	name := b.Config["goarch"]
	if b.Run != nil && b.Run.Arch != "" {
		name = b.Run.Arch
	}
	switch name {
	case "aarch64":
		return "arm64"
	case "amd64":
		return "x86_64"
	}
	return name
}

func cpu(b Boot) string {
	if b.Run != nil && b.Run.CPU != "" {
		return b.Run.CPU
	}
	return b.Config["cpu"]
}

// memory is what the guest was given, to 64 MiB: kernels keep a little of it
// for themselves, not always the same.
func memory(r *record.Run) string {
	const step = 64 << 20
	if r.MemoryBytes <= 0 {
		return ""
	}
	return fmt.Sprintf("%d MiB", (r.MemoryBytes+step/2)/step*(step>>20))
}

func count(n int64) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// differences compares the sides as a whole.
func differences(base, cand []Boot, vary []string) []Difference {
	var out []Difference
	for _, a := range attributes() {
		o, n := distinct(base, a.of), distinct(cand, a.of)
		weight := a.weight
		if slices.Contains(vary, a.what) {
			weight = Doubts
		}
		if d, ok := differ(a.what, weight, o, n); ok {
			if a.what == "root" && slices.ContainsFunc(slices.Concat(base, cand), func(b Boot) bool { return b.Imported || b.Run == nil }) {
				continue // Capsem's JSON does not say
			}
			out = append(out, d)
		}
	}
	if o, n := distinct(base, hostname), distinct(cand, hostname); len(o) == 1 && len(n) == 1 && o[0] != n[0] {
		out = append(out, Difference{"host", Doubts, fmt.Sprintf("host %s against %s", show(o), show(n))})
	}
	return append(out, unfit(slices.Concat(base, cand), vary)...)
}

// unfit says where the host was not fit to measure when a boot began or ended.
func unfit(boots []Boot, vary []string) []Difference {
	weight := RefusesGate
	if slices.Contains(vary, "machine") {
		weight = Doubts
	}
	var out []Difference
	n := 0
	for _, b := range boots {
		for _, m := range b.Machine {
			if len(m.Unfit) == 0 {
				continue
			}
			if n++; n == 1 {
				out = append(out, Difference{"machine", weight, fmt.Sprintf("the machine was unfit in %s: %s", b.Name, strings.Join(m.Unfit, "; "))})
			}
			break
		}
	}
	if n > 1 {
		out[0].Text += fmt.Sprintf(" (and in %s more)", termtext.Plural(n-1, "boot"))
	}
	return out
}

// hostname means something where a side has only one: guests often have a
// name made up for the boot.
func hostname(b Boot) string {
	if b.Run == nil {
		return ""
	}
	return b.Run.Hostname
}

// differ compares the values that the boots of the sides have.
func differ(what string, weight Weight, base, cand []string) (Difference, bool) {
	if slices.Equal(base, cand) && len(base) <= 1 {
		return Difference{}, false
	}
	known := func(v []string) []string {
		return slices.DeleteFunc(slices.Clone(v), func(s string) bool { return s == "" })
	}
	union := slices.Concat(known(base), known(cand))
	slices.Sort(union)
	text := fmt.Sprintf("%s %s against %s", what, show(base), show(cand))
	if slices.Equal(base, cand) {
		text = fmt.Sprintf("%s %s on both sides", what, show(base))
	}
	if len(slices.Compact(union)) <= 1 && weight != Doubts {
		weight = RefusesGate // not known to differ, and not known to be alike
		if slices.Equal(base, cand) {
			weight = Doubts
		}
	}
	return Difference{what, weight, text}, true
}

func distinct(boots []Boot, of func(Boot) string) []string {
	var out []string
	for _, b := range boots {
		out = append(out, of(b))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func show(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		if out[i] = v; v == "" {
			out[i] = "unknown"
		}
	}
	if len(out) > 3 {
		out = append(out[:3], fmt.Sprintf("%d more", len(values)-3))
	}
	return strings.Join(out, ", ")
}

// opDifferences compares the work and the cache state of one op. Boots that
// did not come as far as running it still say what they were asked for.
func opDifferences(base, cand []observation) []Difference {
	if len(base) == 0 || len(cand) == 0 {
		return nil
	}
	var out []Difference
	add := func(what string, weight Weight, of func(observation) string) {
		o, n := distinctOf(base, of), distinctOf(cand, of)
		if d, ok := differ(what, weight, o, n); ok {
			out = append(out, d)
		}
	}
	workload := func(f func(convert.Workload) string) func(observation) string {
		return func(o observation) string { return f(o.boot.Workload(o.res)) }
	}
	add("workload", Refuses, workload(func(w convert.Workload) string { return w.Name }))
	add("package", Refuses, workload(func(w convert.Workload) string { return w.Pkg }))
	add("URL", Refuses, workload(func(w convert.Workload) string { return w.URL }))
	add("scan dirs", Refuses, workload(func(w convert.Workload) string { return w.Dirs }))
	add("files are opened", Refuses, workload(func(w convert.Workload) string { return w.Opens }))
	add("cache", Refuses, cacheState)
	if strings.Contains(cand[0].res.Op.Name, "c=unknown") && len(out) == 0 {
		out = append(out, Difference{"workload", Refuses, "the concurrency is not stated, so it is not known to be the same"})
	}
	add("largest file", Doubts, func(o observation) string {
		cat := o.boot.Categories[catalogue.Rootfs]
		if cat == nil || o.res.Op.ID != "rootfs/seq_read" {
			return ""
		}
		return path.Base(cat.LargestFile) + " of " + count(cat.LargestFileSize) + " B"
	})
	return out
}

// cacheState is "" where the op has none or nobody proved it.
func cacheState(o observation) string {
	if o.res.Note.Cache == record.CacheUnverified {
		return ""
	}
	return o.res.Note.Cache
}

func distinctOf(obs []observation, of func(observation) string) []string {
	var out []string
	for _, o := range obs {
		out = append(out, of(o))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
