// Package catalogue is the one table of what capsem-bench measures: every
// operation with its category, benchmark name, units and the metric it is
// judged by. The guest binary, the converter and the comparison share it, so
// an operation exists in all of them or in none.
//
// Benchmark names follow the Go benchmark format with key=value parts:
// "Disk/op=seq_write/size=256MiB". They are kept without the "Benchmark"
// prefix and without the "-8" GOMAXPROCS suffix.
package catalogue

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// An Op is one operation: one line per unit in benchstat, one object or group
// of keys in the JSON.
type Op struct {
	Category Category
	// ID names the operation without its parameters: "disk/seq_write",
	// "startup/python3", "http/get", "throughput/get", "snapshot/100/create".
	ID string
	// Name is the benchmark name, parameters included.
	Name string
	// Count is how many operations one pass does; Bytes how many bytes it
	// moves where that is fixed, else 0.
	Count int
	Bytes int64
	// Units are the metrics of the op, in print order.
	Units []string
	// Primary are the metrics the op is compared by, usually one.
	Primary []string
	// Cold says that the pass starts with its files out of the page cache.
	Cold bool
	// Needs says in words what must be there.
	Needs string
}

// Leaf returns the part of the name after the category: the name given to
// testing.B.Run. It is "" for Throughput, which has no parts.
func (o Op) Leaf() string {
	_, leaf, _ := strings.Cut(o.Name, "/")
	return leaf
}

// Key returns the value of a key=value part of the op's name.
func (o Op) Key(key string) string {
	for part := range strings.SplitSeq(o.Leaf(), "/") {
		if k, v, ok := strings.Cut(part, "="); ok && k == key {
			return v
		}
	}
	return ""
}

// Settings are the sizes a user may choose. The zero value means the defaults.
type Settings struct {
	SizeMB      int   // sequential disk file, MiB
	Requests    int   // http
	Concurrency int   // http
	CLIs        []CLI // startup
}

// The fixed work of the passes.
const (
	DefaultSizeMB      = 256
	DefaultRequests    = 50
	DefaultConcurrency = 5
	SeqBlock           = 1 << 20
	RandBlock          = 4 << 10
	DiskRandCount      = 10000
	DiskRandBytes      = 64 << 20
	RootfsRandCount    = 5000
	StartupRuns        = 3
	SnapshotFileBytes  = 4 << 10
	DefaultHTTPURL     = "https://www.google.com/"
	// DefaultThroughputURL is the 100 MiB object that Capsem's allow list
	// has for this purpose; on a hermetic host the stand-in origin answers it.
	DefaultThroughputURL = "https://ash-speed.hetzner.com/100MB.bin"
	ThroughputBytes      = 100 << 20
)

// SnapshotFiles returns the workspace sizes of the snapshot category.
func SnapshotFiles() []int { return []int{10, 100, 500} }

// SnapshotOps returns the snapshot calls in the order Capsem's JSON has them.
func SnapshotOps() []string { return []string{"create", "list", "changes", "revert", "delete"} }

// ScanDirs returns the directories of the rootfs category.
func ScanDirs() []string { return []string{"/usr/bin", "/usr/lib", "/opt/ai-clis"} }

// Commands are those of startup.
func (s Settings) Commands() []CLI { return s.withDefaults().CLIs }

func (s Settings) withDefaults() Settings {
	if s.SizeMB == 0 {
		s.SizeMB = DefaultSizeMB
	}
	if s.Requests == 0 {
		s.Requests = DefaultRequests
	}
	if s.Concurrency == 0 {
		s.Concurrency = DefaultConcurrency
	}
	if len(s.CLIs) == 0 {
		s.CLIs, _ = ParseCLIs(DefaultCLIs) // the default is one that it takes
	}
	return s
}

// Ops returns every operation of the given settings in report order.
func Ops(s Settings) []Op {
	s = s.withDefaults()
	const wd, ro, gw, px = "a writable directory with room", "the scan directories", "snapshots in PATH and its gateway", "the proxy or a network"
	seq := []string{"ns/op", "B/s", "p50-ns", "p95-ns", "p99-ns", "max-ns"}
	rnd := []string{"ns/op", "B/s", "iops", "p50-ns", "p95-ns", "p99-ns", "max-ns"}
	size := int64(s.SizeMB) << 20
	ops := []Op{
		{Disk, "disk/seq_write", fmt.Sprintf("Disk/op=seq_write/size=%dMiB", s.SizeMB), 1, size, seq, []string{"B/s"}, false, wd},
		{Disk, "disk/seq_read", fmt.Sprintf("Disk/op=seq_read/size=%dMiB", s.SizeMB), 1, size, seq, []string{"B/s"}, true, wd},
		{Disk, "disk/rand_write_4k", fmt.Sprintf("Disk/op=rand_write_4k/count=%d", DiskRandCount), DiskRandCount, DiskRandCount * RandBlock, rnd, []string{"iops"}, false, wd},
		{Disk, "disk/rand_read_4k", fmt.Sprintf("Disk/op=rand_read_4k/count=%d", DiskRandCount), DiskRandCount, DiskRandCount * RandBlock, rnd, []string{"iops"}, true, wd},
		{Rootfs, "rootfs/seq_read", "Rootfs/op=seq_read", 1, 0, seq, []string{"B/s"}, true, ro},
		{Rootfs, "rootfs/rand_read_4k", fmt.Sprintf("Rootfs/op=rand_read_4k/count=%d", RootfsRandCount), RootfsRandCount, RootfsRandCount * RandBlock, append(slices.Clone(rnd), "open-p50-ns", "open-p95-ns"), []string{"iops"}, true, ro},
	}
	for _, cli := range s.CLIs {
		ops = append(ops, StartupOp(cli.Name))
	}
	ops = append(ops,
		Op{
			HTTP, "http/get", fmt.Sprintf("HTTP/n=%d/c=%d", s.Requests, s.Concurrency), s.Requests, 0,
			[]string{"ns/op", "req/s", "p50-ns", "p95-ns", "p99-ns", "min-ns", "max-ns", "errors"},
			[]string{"req/s", "p95-ns"},
			false, px,
		},
		Op{Throughput, "throughput/get", "Throughput", 1, 0, []string{"ns/op", "B/s"}, []string{"B/s"}, false, px},
	)
	for _, n := range SnapshotFiles() {
		for _, op := range SnapshotOps() {
			ops = append(ops, Op{
				Snapshot, fmt.Sprintf("snapshot/%d/%s", n, op), fmt.Sprintf("Snapshot/files=%d/op=%s", n, op), 1, 0,
				[]string{"ns/op"},
				[]string{"ns/op"},
				false, gw,
			})
		}
	}
	return append(ops, additional()...)
}

// Place is where an operation stands among all, from 0; those that are not in
// the catalogue stand behind it.
func Place(id string) int {
	if place, ok := places()[id]; ok {
		return place
	}
	return len(places())
}

var places = sync.OnceValue(func() map[string]int {
	out := make(map[string]int)
	for i, op := range Ops(Settings{}) {
		out[op.ID] = i
	}
	return out
})

// ByDefault reports whether a run without settings has the operation.
func ByDefault(id string) bool {
	_, ok := places()[id]
	return ok
}

// Select returns the operations of the given categories; none means all.
func Select(ops []Op, categories ...Category) []Op {
	if len(categories) == 0 {
		return ops
	}
	var out []Op
	for _, op := range ops {
		if slices.Contains(categories, op.Category) {
			out = append(out, op)
		}
	}
	return out
}

// TrimName turns a name as printed by testing into a catalogue name: it drops
// the "Benchmark" prefix and the "-8" GOMAXPROCS suffix.
func TrimName(name string) string {
	name = strings.TrimPrefix(name, "Benchmark")
	i := strings.LastIndexByte(name, '-')
	if i < 0 || i == len(name)-1 {
		return name
	}
	for _, r := range name[i+1:] {
		if r < '0' || r > '9' {
			return name
		}
	}
	return name[:i]
}

// Lookup finds the operation that a benchmark name belongs to, whatever its
// sizes. The returned Op carries the given name; its Count and Bytes are those
// of the default settings. It reports false for a name that is not in the
// catalogue.
func Lookup(name string) (Op, bool) {
	name = TrimName(name)
	for _, find := range []func(string) (Op, bool){lookupLoad, lookupStorage, lookupVM, lookupStartup} {
		if op, ok := find(name); ok {
			return op, true
		}
	}
	op, ok := index().byIdentity[identity(name)]
	if !ok {
		return Op{}, false
	}
	op.Name = name
	return op, true
}

// ByID finds an operation of the default settings, of load, of storage, of VMs or
// of a command of the user's by its ID.
func ByID(id string) (Op, bool) {
	if rest, ok := strings.CutPrefix(id, "load/"); ok {
		protocol, level, _ := strings.Cut(rest, "/")
		return lookupLoad("Load/proto=" + protocol + "/c=" + level)
	}
	if strings.HasPrefix(id, "storage/") {
		return storageByID(id)
	}
	if op, ok := vmByID(id); ok {
		return op, true
	}
	if cli, ok := strings.CutPrefix(id, "startup/"); ok {
		return lookupStartup("Startup/cli=" + cli)
	}
	op, ok := index().byID[id]
	return op, ok
}

// index is the operations of the default settings, for readers that look up
// every line; nothing changes it.
var index = sync.OnceValue(func() (ix struct{ byIdentity, byID map[string]Op }) {
	ix.byIdentity, ix.byID = make(map[string]Op), make(map[string]Op)
	for _, op := range Ops(Settings{}) {
		ix.byIdentity[identity(op.Name)], ix.byID[op.ID] = op, op
	}
	return ix
})

// Key names the operation of a benchmark name whatever its sizes, and whatever
// the URL that an import put into the name: by the ID of the catalogue, else by
// the name. Results with one key are of one operation; whether their workloads
// agree is another question.
func Key(name string) string {
	var kept []string
	for part := range strings.SplitSeq(name, "/") {
		if !strings.HasPrefix(part, "url=") {
			kept = append(kept, part)
		}
	}
	if op, ok := Lookup(strings.Join(kept, "/")); ok {
		return op.ID
	}
	return name
}

// identity drops the parts of a name that are sizes of the workload.
func identity(name string) string {
	var b strings.Builder
	for i, part := range strings.Split(name, "/") {
		key, _, _ := strings.Cut(part, "=")
		switch key {
		case "size", "count", "n", "c":
			continue
		}
		if i > 0 {
			b.WriteByte('/')
		}
		b.WriteString(part)
	}
	return b.String()
}
