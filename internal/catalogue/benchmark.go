package catalogue

import "slices"

// A Category groups the operations of one Benchmark function.
type Category string

// The categories that Capsem's own JSON has, in the order in which they run
// and are reported.
const (
	Disk       Category = "disk"
	Rootfs     Category = "rootfs"
	Startup    Category = "startup"
	HTTP       Category = "http"
	Throughput Category = "throughput"
	Snapshot   Category = "snapshot"
)

// A Benchmark is a row of the catalogue: one Benchmark function of the guest
// binary. Help, JSON section, table and comparison follow from it.
type Benchmark struct {
	Category Category
	// Func is the name of the function after "Benchmark", with which the names
	// of its operations begin.
	Func string
	// About is what `capsem-bench CATEGORY` does, for help; Title heads the
	// table.
	About, Title string
	// Ops are the operations. The categories of Capsem's JSON depend on
	// Settings and have them in Ops instead.
	Ops []Op
	// OnDemand says that a pattern for everything leaves it out: it takes
	// minutes. Its operations depend on settings of its own and are not in Ops.
	OnDemand bool
	// Host says that the command measures it from outside of a guest, and the
	// guest binary has no function of it.
	Host bool
}

// Benchmarks returns all rows in report order. A new benchmark is a row at the
// end of additions and a function in the root package; see CONTRIBUTING.md.
func Benchmarks() []Benchmark {
	return append([]Benchmark{
		{Disk, "Disk", "Measure the scratch disk", "Scratch Disk I/O", nil, false, false},
		{Rootfs, "Rootfs", "Measure the read-only rootfs", "Rootfs Read I/O", nil, false, false},
		{Startup, "Startup", "Measure cold starts of the agents' commands", "CLI Cold Start Latency", nil, false, false},
		{HTTP, "HTTP", "Measure requests through the proxy", "HTTP Benchmark", nil, false, false},
		{Throughput, "Throughput", "Measure a download through the proxy", "Proxy Throughput", nil, false, false},
		{Snapshot, "Snapshot", "Measure workspace snapshots through the gateway", "Snapshot Operations (ms)", nil, false, false},
	}, additions()...)
}

// additions are the benchmarks whose form Capsem's JSON does not prescribe.
func additions() []Benchmark {
	return []Benchmark{
		{Load, "Load", "Measure proxy, gateway and resolver under load, for minutes", "Load", nil, true, false}, // its operations: LoadOp
		{Storage, "Storage", "Measure every writable mount, for minutes", "Storage I/O", nil, true, false},      // its operations: StorageOps
		// Their operations: LifecycleOp and the functions beside it.
		{Lifecycle, "Lifecycle", "Measure VMs from the host: made, booted, used, deleted", "VM Lifecycle", nil, true, true},
		{Fork, "Fork", "Measure copies of a VM, booted", "VM Fork", nil, true, true},
		{Parallel, "Parallel", "Measure several VMs at once", "Parallel VMs", nil, true, true},
		{Exec, "Exec", "Measure commands in a VM that runs", "Commands in a VM", nil, true, true},
	}
}

// Prescribed reports whether Capsem's own JSON has the category, with keys and
// a table of its own.
func (c Category) Prescribed() bool {
	switch c {
	case Disk, Rootfs, Startup, HTTP, Throughput, Snapshot:
		return true
	}
	return false
}

// Row returns the category's row, the zero Benchmark for an unknown category.
func (c Category) Row() Benchmark {
	for _, b := range Benchmarks() {
		if b.Category == c {
			return b
		}
	}
	return Benchmark{}
}

// Categories returns all categories in report order.
func Categories() []Category {
	rows := Benchmarks()
	out := make([]Category, len(rows))
	for i, b := range rows {
		out[i] = b.Category
	}
	return out
}

// GuestCategories returns those that the guest binary measures.
func GuestCategories() []Category {
	return slices.DeleteFunc(Categories(), func(c Category) bool { return c.Row().Host })
}

// HostCategories returns those that the host measures.
func HostCategories() []Category {
	return slices.DeleteFunc(Categories(), func(c Category) bool { return !c.Row().Host })
}

// Benchmark returns the part of the benchmark function's name after
// "Benchmark": "Disk", "HTTP".
func (c Category) Benchmark() string { return c.Row().Func }

// additional returns the operations of additions.
func additional() []Op {
	var out []Op
	for _, b := range additions() {
		for _, op := range b.Ops {
			op.Category = b.Category
			out = append(out, op)
		}
	}
	return out
}
