package compare

import (
	"fmt"
	"strings"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// A Figure is what one boot says of one metric of one operation: what a
// comparison counts, and what a history keeps.
type Figure struct {
	Op       string // its key: the same whatever its counts and sizes
	Category catalogue.Category
	Unit     string
	Better   catalogue.Direction // "" where neither the catalogue nor a convention says
	Primary  bool                // the op is judged by it
	// Workload says what the op was asked to do. Values of two figures are
	// comparable where it is the same.
	Workload string
	Status   record.State
	Reason   string
	// Rounds are the values of the good rounds, in order.
	Rounds []float64
	// Value is the mean of their middle half after one warm-up round. It counts
	// where OK.
	Value float64
	OK    bool
}

// Figures returns all figures of a boot, by operation in report order. An
// operation without a value has one figure, with no unit, that says why.
func Figures(b Boot) []Figure {
	var out []Figure
	for _, res := range b.Ops {
		f := Figure{
			Op: catalogue.Key(res.Op.Name), Category: res.Op.Category, Status: res.Status, Reason: res.Reason,
			Workload: workloadText(b.Workload(res)),
		}
		primary := primaryUnits(f.Op, res)
		n := len(out)
		for _, unit := range res.Units {
			f := f
			f.Unit, f.Better, f.Rounds = unit, b.Unit(res, unit).Better, res.Values[unit].Values()
			for _, p := range primary {
				f.Primary = f.Primary || p == unit
			}
			f.Value, f.OK = value(res, unit)
			out = append(out, f)
		}
		if len(out) == n {
			out = append(out, f)
		}
	}
	return out
}

// workloadText is a workload on one line.
func workloadText(w convert.Workload) string {
	var b strings.Builder
	b.WriteString(w.Name)
	if w.URL != "" {
		fmt.Fprintf(&b, " url=%s", w.URL)
	}
	if w.Dirs != "" {
		fmt.Fprintf(&b, " dirs=%s", w.Dirs)
	}
	if w.Opens != "" {
		fmt.Fprintf(&b, " opens=%s", strings.ReplaceAll(w.Opens, " ", "_"))
	}
	return b.String()
}

// An Environment is where a boot was measured. Values are comparable where
// all of it is the same.
type Environment struct {
	Arch, CPU, CPUs, Memory, Kernel, Accel, Image, Sandbox, Virtualization, Root string
}

// EnvironmentOf returns what a boot says of the machine it ran on.
func EnvironmentOf(b Boot) Environment {
	of := make(map[string]string)
	for _, a := range attributes() {
		of[a.what] = a.of(b)
	}
	return Environment{
		Arch: of["arch"], CPU: of["cpu"], CPUs: of["cpus"], Memory: of["memory"], Kernel: of["kernel"], Accel: of["accel"],
		Image: of["image"], Sandbox: of["sandbox"], Virtualization: of["virtualization"], Root: of["root"],
	}
}
