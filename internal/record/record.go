// Package record defines the comment lines that travel inside benchmark text:
// "#capsem " followed by one JSON object. benchfmt skips them, so benchstat
// never groups by what they say; the converter reads them for everything that
// a benchmark line cannot carry: the environment, exact values, status.
//
// Times are integer nanoseconds and sizes bytes, so nothing is rounded before
// the converter sees it. docs/format.md is the contract in prose.
package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/capsem/capsem-bench/internal/termtext"
)

// Prefix starts every comment line of ours.
const Prefix = "#capsem "

// MaxLine bounds a line with its newline. benchfmt gives up a whole file at
// 64 KiB; half of that leaves room for tools that prefix lines.
const MaxLine = 32 << 10

// MaxValues is how many single values a samples line carries at most.
const MaxValues = 1000

// Schema names the layout of the lines; it is in the run line.
const Schema = "capsem-bench.text/1"

// ToolVersion is the version of capsem-bench itself.
const ToolVersion = "0.1.0"

// The values of the "type" key.
const (
	TypeBoot     = "boot"
	TypeMachine  = "machine"
	TypeClock    = "clock"
	TypeGuest    = "guest"
	TypeRun      = "run"
	TypeCategory = "category"
	TypeStart    = "start"
	TypeSamples  = "samples"
	TypeStatus   = "status"
	TypeEnd      = "end"
)

// Guest is the last line of the host's head: every line after it is the
// guest's word. The host writes it before the guest can print anything, so a
// boot, machine or clock line that a guest prints, in whatever spelling, comes
// after it and means nothing. Texts from before there was this line have none;
// there the head is what Boot, Machine and Clock say.
type Guest struct {
	Type string `json:"type"`
}

// GuestLine is the guest line with its newline.
const GuestLine = Prefix + `{"type":"` + TypeGuest + `"}` + "\n"

// Boot is written by the host as the first line of a text that is one boot of
// several: which side it belongs to and its place in the order of all boots, so
// that the order can be proven later. A boot line anywhere else is the guest's
// and means nothing.
type Boot struct {
	Type  string  `json:"type"`
	Side  string  `json:"side,omitempty"`  // "base" or "cand"; "" when there is one side
	Stage int     `json:"stage,omitempty"` // from 1
	Slot  int     `json:"slot"`            // place in the order of all boots, from 1
	Seed  uint64  `json:"seed,omitempty"`  // of the order inside the pairs
	Time  float64 `json:"time"`            // Unix seconds at the start, host's clock
	// Machine is the name of the host, where the boots of a trial are on several.
	// Boots are compared with others of their machine.
	Machine string `json:"machine,omitempty"`
}

// Machine is how fit the host was to measure: one line from before the boot
// and one from after it. The host writes both directly after the boot line; a
// machine line anywhere else is the guest's and means nothing.
type Machine struct {
	Type     string   `json:"type"`
	Time     float64  `json:"time"`                      // Unix seconds, host's clock
	Load     float64  `json:"load,omitempty"`            // of the last minute
	Busy     float64  `json:"busy,omitempty"`            // share of the processors that others used
	Steal    float64  `json:"steal,omitempty"`           // share that the hypervisor took
	Pressure float64  `json:"memory_pressure,omitempty"` // percent of 10 s in which a task waited for memory
	VMs      int      `json:"vms,omitempty"`             // other virtual machines
	BurnNS   int64    `json:"burn_ns,omitempty"`         // median of the burn-in loop
	Spread   float64  `json:"burn_spread,omitempty"`     // slowest over fastest turn, minus 1
	Unfit    []string `json:"unfit,omitempty"`           // why the machine is not fit
	Doubts   []string `json:"doubts,omitempty"`
}

// Run is the guest's first line: what ran, where, and what to expect.
type Run struct {
	Type           string            `json:"type"`
	Schema         string            `json:"schema"`
	Version        string            `json:"version"`
	Commit         string            `json:"commit,omitempty"` // of the command that started the guest binary; "" when none did, or it does not know
	Dirty          bool              `json:"dirty,omitempty"`  // its files differed from the commit
	Date           string            `json:"date,omitempty"`   // of the commit, RFC 3339
	Go             string            `json:"go,omitempty"`     // that built the guest binary: "go1.26.8"
	Time           float64           `json:"time"`             // Unix seconds at the start
	Seed           uint64            `json:"seed"`
	Hostname       string            `json:"hostname"`
	OS             string            `json:"os,omitempty"`
	Arch           string            `json:"arch"` // as uname -m says it
	Kernel         string            `json:"kernel,omitempty"`
	CPU            string            `json:"cpu,omitempty"`
	CPUs           int               `json:"cpus,omitempty"`
	MemoryBytes    int64             `json:"memory_bytes,omitempty"`
	Virtualization string            `json:"virtualization,omitempty"` // "none", "kvm", "qemu", ...; "" unknown
	Root           bool              `json:"root"`
	Filesystems    map[string]string `json:"filesystems,omitempty"` // path -> type
	Sandbox        string            `json:"sandbox,omitempty"`     // "local", "qemu", "command"; "" bare
	Accel          string            `json:"accel,omitempty"`
	Image          string            `json:"image,omitempty"` // rootfs digest
	// LimitScale is by how much the limits of real time are longer than their
	// defaults, because the processor is emulated; 0 means not at all.
	LimitScale int               `json:"limit_scale,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"` // what was measured, as its owner names it: release, commit, ...
	Source     string            `json:"source,omitempty"` // set when the text was imported: the format it was made from
	Rounds     int               `json:"rounds"`
	Expected   []string          `json:"expected"` // op names that this run will attempt
}

// Category is printed once per category, before its first operation: its
// settings. Only the fields of that category are set.
type Category struct {
	Type            string   `json:"type"`
	Category        string   `json:"category"`
	Directory       string   `json:"directory,omitempty"`         // disk, snapshot
	SizeMB          int      `json:"size_mb,omitempty"`           // disk
	ScanDirs        []string `json:"scan_dirs,omitempty"`         // rootfs
	LargestFile     string   `json:"largest_file,omitempty"`      // rootfs
	LargestFileSize int64    `json:"largest_file_size,omitempty"` // rootfs
	FilesFound      int64    `json:"files_found,omitempty"`       // rootfs, files of at least 4 KiB
	Unreadable      int64    `json:"unreadable,omitempty"`        // rootfs
	RunsPerCommand  int      `json:"runs_per_command,omitempty"`  // startup
	URL             string   `json:"url,omitempty"`               // http, throughput, load
	Requests        int      `json:"requests,omitempty"`          // http
	Concurrency     int      `json:"concurrency,omitempty"`       // http
	// Settings are those of a category that has no fields of its own above.
	Settings map[string]string `json:"settings,omitempty"`
}

// Start is printed before an operation's first round, so that a reader of the
// stream knows what is under way: testing prints the name of a first round
// only when it is over.
type Start struct {
	Type string `json:"type"`
	Op   string `json:"op"`
}

// Samples are the exact values of one round of one operation. It is printed
// for failed rounds too, with what was measured until then.
type Samples struct {
	Type  string `json:"type"`
	Op    string `json:"op"`    // catalogue name
	Round int    `json:"round"` // from 1
	// StartNS is the Unix time at which the timed part began.
	StartNS   int64 `json:"start_ns,omitempty"`
	ElapsedNS int64 `json:"elapsed_ns"` // wall time of the timed part
	// WarmNS is how long the same work took when its files were cached, after
	// the timed part of a cold read; 0 where that is not known.
	WarmNS   int64    `json:"warm_ns,omitempty"`
	Count    int64    `json:"count"`            // successful operations
	Failed   int64    `json:"failed,omitempty"` // failed operations
	Bytes    int64    `json:"bytes,omitempty"`  // bytes moved by successful operations
	Block    int64    `json:"block,omitempty"`  // bytes of one access
	Files    int64    `json:"files,omitempty"`  // distinct files touched
	File     string   `json:"file,omitempty"`   // the file read
	HTTPCode int      `json:"http_code,omitempty"`
	Command  []string `json:"command,omitempty"`
	// Values are the times of the single operations in ns, in order, when
	// there are at most MaxValues of them.
	Values []int64 `json:"values_ns,omitempty"`
	// Histogram has the times of all single operations or accesses where there
	// are more than Values takes, WarmHistogram those of the turn of WarmNS; see
	// HistogramOf.
	Histogram     string `json:"histogram,omitempty"`
	WarmHistogram string `json:"warm_histogram,omitempty"`
	// Latency summarises all successful operations, in ns.
	Latency *Latency `json:"latency_ns,omitempty"`
	// Metrics are the values of the result line at full precision, by unit.
	Metrics map[string]float64 `json:"metrics,omitempty"`
	// Errors counts failures by reason, Answers successes by what they said.
	Errors  map[string]int64 `json:"errors,omitempty"`
	Answers map[string]int64 `json:"answers,omitempty"`
	// Concurrency is the number of connections of load, Rate the requests a
	// second of its open loop; Late and Dropped ones did not start in time.
	Concurrency int     `json:"concurrency,omitempty"`
	Rate        float64 `json:"rate,omitempty"`
	Late        int64   `json:"late,omitempty"`
	Dropped     int64   `json:"dropped,omitempty"`
	// CPUNS is the processor time that the client of load, of requests or of a
	// download used.
	CPUNS int64 `json:"cpu_ns,omitempty"`
	// PerSecond are the bytes of each second of a download, from its start; the
	// last second is a part of one.
	PerSecond []int64 `json:"per_second,omitempty"`
}

// Latency is a summary in ns. Percentiles are type 7 of Hyndman and Fan:
// linear interpolation at (n-1)*p/100.
type Latency struct {
	Min  float64 `json:"min"`
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

// A State is how an operation ended.
type State string

const (
	OK      State = "ok"
	Skipped State = "skipped" // its precondition is absent
	Failed  State = "failed"  // it ran and went wrong
	Invalid State = "invalid" // it ran, but the number does not mean what it says
	Missing State = "missing" // expected and never seen; set by readers only
)

// The values of Status.Cache.
const (
	CacheCold       = "cold"
	CacheWarm       = "warm"
	CacheUnverified = "unverified"
)

// The values of Status.Host.
const (
	HostDropped = "dropped"
	HostKept    = "kept" // a doubt says why
)

// Status says how an operation ended, over all its rounds.
type Status struct {
	Type   string `json:"type"`
	Op     string `json:"op"`
	Status State  `json:"status"`
	Reason string `json:"reason,omitempty"`
	// Cache says how the files concerned were when the timer started.
	Cache string `json:"cache,omitempty"`
	// Resident of Pages pages were still in the page cache then.
	Resident int64 `json:"resident,omitempty"`
	Pages    int64 `json:"pages,omitempty"`
	// Dropped says how: "drop_caches" or "fadvise".
	Dropped string `json:"dropped,omitempty"`
	// Host says whether the host of a VM dropped its caches too, where it
	// could be asked.
	Host string `json:"host_cache,omitempty"`
	// Doubts are remarks that belong beside the number.
	Doubts []string `json:"doubts,omitempty"`
	// Command is set for startup commands that never ran.
	Command []string `json:"command,omitempty"`
	// RoundsByBoot is set by an import: how many of the rounds each boot has, of
	// a document of several boots.
	RoundsByBoot []int `json:"rounds_by_boot,omitempty"`
}

// End is the last line: without it the run is incomplete.
type End struct {
	Type      string  `json:"type"`
	Time      float64 `json:"time"`
	ElapsedNS int64   `json:"elapsed_ns"`
	Status    string  `json:"status"` // "ok", "failed", "interrupted", "timeout"
	Reason    string  `json:"reason,omitempty"`
}

// Seconds is a time as the lines have it: Unix seconds, to the microsecond.
func Seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// Append appends v, one of the types above, as a comment line with its
// newline. A line that would pass MaxLine is an error. Characters that a
// terminal would not show as such are written as \uXXXX: a text is looked at too.
func Append(dst []byte, v any) ([]byte, error) {
	buf := bytes.NewBuffer(append(dst, Prefix...))
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // ends the line
		return dst, err
	}
	line := buf.Bytes()[len(dst):]
	if bytes.ContainsFunc(line[:len(line)-1], hidden) {
		line = escapeUnseen(line)
	}
	if len(line) > MaxLine {
		return dst, fmt.Errorf("comment line of %d bytes is longer than %d", len(line), MaxLine)
	}
	return append(buf.Bytes()[:len(dst)], line...), nil
}

// hidden reports whether a terminal does not show a character as such.
func hidden(r rune) bool { return !termtext.Visible(r) }

// escapeUnseen spells such characters of a JSON line as JSON does (RFC 8259
// section 7): they stand in its strings only.
func escapeUnseen(line []byte) []byte {
	var out []byte
	for _, r := range string(line[:len(line)-1]) {
		switch {
		case termtext.Visible(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return append(out, '\n')
}

// ErrNotRecord is returned by Parse for a line that is not one of ours.
var ErrNotRecord = errors.New("not a #capsem line")

// Parse decodes a comment line into *Boot, *Machine, *Clock, *Guest, *Run,
// *Category, *Start, *Samples, *Status or *End. A type of a later version gives (nil, nil): readers skip it.
func Parse(line []byte) (any, error) {
	body, ok := bytes.CutPrefix(line, []byte(Prefix))
	if !ok {
		return nil, ErrNotRecord
	}
	name, err := typeOf(body)
	if err != nil {
		return nil, fmt.Errorf("#capsem line: %w", err)
	}
	var v any
	switch name {
	case TypeBoot:
		v = new(Boot)
	case TypeMachine:
		v = new(Machine)
	case TypeClock:
		v = new(Clock)
	case TypeGuest:
		v = new(Guest)
	case TypeRun:
		v = new(Run)
	case TypeCategory:
		v = new(Category)
	case TypeStart:
		v = new(Start)
	case TypeSamples:
		v = new(Samples)
	case TypeStatus:
		v = new(Status)
	case TypeEnd:
		v = new(End)
	case "":
		return nil, errors.New(`#capsem line without a "type"`)
	default:
		return nil, nil
	}
	if err := json.Unmarshal(body, v); err != nil {
		return nil, fmt.Errorf("#capsem %s line: %w", name, err)
	}
	return v, nil
}

// typeOf returns the value of "type". Append writes it first, where it is
// found without decoding the line twice.
func typeOf(body []byte) (string, error) {
	if rest, ok := bytes.CutPrefix(body, []byte(`{"type":"`)); ok {
		name, _, _ := bytes.Cut(rest, []byte(`"`))
		if !bytes.ContainsRune(name, '\\') {
			return string(name), nil
		}
	}
	var head struct {
		Type string `json:"type"`
	}
	err := json.Unmarshal(body, &head)
	return head.Type, err
}
