package catalogue

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A Direction says which way of a unit is better, in benchfmt's words.
type Direction string

// The directions. The zero value means that nobody says.
const (
	Higher Direction = "higher"
	Lower  Direction = "lower"
)

// A Kind says what a value of a unit is, and so how it may be compared.
type Kind string

// The kinds. The zero value means that nothing is known of the unit.
const (
	// Time is a time of one operation or process. A clock has a resolution, so
	// a time that is the same in every round was rounded.
	Time Kind = "time"
	// Tail is the time of the slowest operations. It scatters more than a mean.
	Tail Kind = "tail"
	// Rate is a number of things per second. It is computed from a time.
	Rate Kind = "rate"
	// Count is a number of things or bytes. One that is the same in every round
	// is exact.
	Count Kind = "count"
)

// IsTime reports whether values of the kind are times, tails included.
func (k Kind) IsTime() bool { return k == Time || k == Tail }

// A Unit is one metric unit of the benchmark text. Every unit of the catalogue
// is based on ns or B, so that no tool has to guess at a scale.
type Unit struct {
	Name   string
	Better Direction
	Kind   Kind
	// Derived says that the value follows from the time of the pass and its
	// fixed work: ns/op, B/s and iops of one pass are one measurement.
	Derived bool
	Doc     string
}

// Units returns every unit the guest reports, in the order in which an
// operation prints them. ns/op and B/s are known to benchstat; the others
// need their "Unit" line.
func Units() []Unit {
	return []Unit{
		{"ns/op", Lower, Time, true, "mean time of one operation"},
		{"B/s", Higher, Rate, true, "bytes moved per second"},
		{"iops", Higher, Rate, true, "completed accesses per second"},
		{"req/s", Higher, Rate, true, "successful requests per second"},
		{"p50-ns", Lower, Time, false, "median time of one operation"},
		{"p95-ns", Lower, Tail, false, "95th percentile of one operation"},
		{"p99-ns", Lower, Tail, false, "99th percentile of one operation"},
		{"min-ns", Lower, Time, false, "fastest operation"},
		{"max-ns", Lower, Tail, false, "slowest operation"},
		{"open-p50-ns", Lower, Time, false, "median time to open a file, as part of its first access"},
		{"open-p95-ns", Lower, Tail, false, "95th percentile of that"},
		{"user-ns", Lower, Time, false, "user CPU time of one process"},
		{"sys-ns", Lower, Time, false, "system CPU time of one process"},
		{"maxrss-B", Lower, Count, false, "peak resident memory of one process"},
		{"errors", Lower, Count, false, "operations that failed"},
	}
}

// LoadUnits returns the units that load alone has. They are declared where it
// is measured.
func LoadUnits() []Unit {
	return []Unit{
		{"p999-ns", Lower, Tail, false, "99.9th percentile of one operation"},
		{"sent-p50-ns", Lower, Time, false, "median time of a request of an open loop from when it was sent"},
		{"sent-p99-ns", Lower, Tail, false, "99th percentile of the same"},
		{"overhead", Lower, Time, true, "rate past the proxy beside the rate through it, 1 being no overhead"},
	}
}

// WebUnits returns the units that http and throughput have beside those of
// their operations, where a phase occurred. They are declared where those are
// measured.
func WebUnits() []Unit {
	return []Unit{
		{"dns-ns", Lower, Time, false, "names to addresses, mean of a connection"},
		{"connect-ns", Lower, Time, false, "TCP connect, to the proxy where there is one, mean of a connection"},
		{"proxy-ns", Lower, Time, false, "from then until the proxy's tunnel is there, mean of a connection"},
		{"tls-ns", Lower, Time, false, "TLS handshake, mean of a connection"},
		{"ttfb-ns", Lower, Time, false, "from the start of a download to the first byte of its answer"},
		{"ttfb-p50-ns", Lower, Time, false, "median time of a request to the first byte of its answer"},
		{"ttfb-p95-ns", Lower, Tail, false, "95th percentile of that"},
		{"body-ns", Lower, Time, false, "from the first byte of a download to the last"},
		{"stalls", Lower, Count, false, "how often no byte came for 500 ms"},
	}
}

// HostUnits returns the units that the categories of VMs alone have. They are
// declared where those are measured.
func HostUnits() []Unit {
	return []Unit{
		{"rss-B", Lower, Count, false, "resident memory of some processes of the host, what they share counted in each"},
		{"pss-B", Lower, Count, false, "the same with shared memory divided among those that share it"},
		{"size-B", Lower, Count, false, "bytes of an image, or of a guest's memory in use"},
		{"slowdown", Lower, Time, true, "time of one VM of several beside its time alone, 1 being no slowdown"},
	}
}

// UnitOf returns the unit of that name. For a unit outside the catalogue the
// fields follow from the conventions of package testing and of benchunit: a
// rate ends in "/s", a time is in ns or sec, and what is counted per operation
// or in bytes is better when lower. Of any other name nothing is known.
func UnitOf(name string) Unit {
	if u, ok := unitsByName()[name]; ok {
		return u
	}
	u := Unit{Name: name}
	quantity, per, _ := strings.Cut(name, "/")
	switch {
	case per == "s" || per == "sec":
		u.Better, u.Kind, u.Derived = Higher, Rate, name == "MB/s"
	case isTimeUnit(quantity):
		u.Better, u.Kind = Lower, Time
		if slowest(quantity) {
			u.Kind = Tail
		}
	case per == "op", quantity == "B", strings.HasSuffix(name, "-B"):
		u.Better, u.Kind = Lower, Count
	}
	return u
}

// unitsByName is for readers that look up every value; nothing changes it.
var unitsByName = sync.OnceValue(func() map[string]Unit {
	out := make(map[string]Unit)
	for _, u := range slices.Concat(Units(), LoadUnits(), WebUnits(), HostUnits()) {
		out[u.Name] = u
	}
	return out
})

// isTimeUnit reports whether the name is ns or sec, alone or after what the
// time is of: "p50-ns".
func isTimeUnit(name string) bool {
	i := strings.LastIndexByte(name, '-')
	return name[i+1:] == "ns" || name[i+1:] == "sec"
}

// slowest reports whether the name is of a percentile above 90 or of the
// maximum.
func slowest(name string) bool {
	return strings.HasPrefix(name, "p9") || strings.HasPrefix(name, "max-") || strings.Contains(name, "-p9")
}

// UnitLine returns the benchmark text line that declares the unit.
func (u Unit) UnitLine() string {
	return fmt.Sprintf("Unit %s better=%s", u.Name, u.Better)
}
