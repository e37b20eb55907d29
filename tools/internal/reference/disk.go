package reference

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Fio is one job of fio with the engine psync: pread(2) and pwrite(2) from one
// thread, which is what the guest binary does.
type Fio struct {
	File   string
	RW     string // read, write, randread, randwrite
	Block  string // 4k, 1m
	Size   int64
	Count  int  // accesses; 0: the whole file once
	Sync   bool // fdatasync after every write, else one fsync at the end
	Cached bool // leave the page cache alone, for a number of seconds
}

// args are those of the job, without a job file.
func (f Fio) args() []string {
	args := []string{
		"fio", "--name=job", "--output-format=json", "--ioengine=psync", "--filename=" + f.File, "--rw=" + f.RW,
		"--bs=" + f.Block, fmt.Sprint("--size=", f.Size), "--fallocate=none",
	}
	if f.Count > 0 {
		args = append(args, fmt.Sprint("--number_ios=", f.Count))
	}
	switch {
	case f.Cached:
		args = append(args, "--invalidate=0", "--pre_read=1", "--time_based", "--runtime=2")
	default:
		args = append(args, "--invalidate=1")
	}
	switch {
	case f.RW == "read":
		// fio tells the kernel to read ahead twice as far, the guest binary nothing.
		args = append(args, "--readonly", "--fadvise_hint=0")
	case f.RW == "randread":
		args = append(args, "--readonly") // both tell the kernel that it is random
	case f.Sync:
		args = append(args, "--fdatasync=1")
	default:
		args = append(args, "--end_fsync=1")
	}
	return args
}

// fioResult is the part of fio's JSON that is read.
type fioResult struct {
	Jobs []struct {
		Read, Write struct {
			IOPS  float64 `json:"iops"`
			Bytes float64 `json:"bw_bytes"` // per second
		}
	}
}

// IOPS measures accesses per second.
func (f Fio) IOPS(ctx context.Context) (float64, error) {
	r, err := f.run(ctx)
	if err != nil {
		return 0, err
	}
	return r.Jobs[0].Read.IOPS + r.Jobs[0].Write.IOPS, nil // one of them is 0
}

// Rate measures bytes per second.
func (f Fio) Rate(ctx context.Context) (float64, error) {
	r, err := f.run(ctx)
	if err != nil {
		return 0, err
	}
	return r.Jobs[0].Read.Bytes + r.Jobs[0].Write.Bytes, nil
}

// run makes a cold read cold in the way of the guest binary: --invalidate drops
// the pages of the one file, but after drop_caches all that runs on the machine
// reads its own again. On a busy one the two were five times apart.
func (f Fio) run(ctx context.Context) (r fioResult, err error) {
	if !f.Cached && strings.HasSuffix(f.RW, "read") {
		if err := dropCaches(); err != nil {
			return r, err
		}
	}
	out, err := run(ctx, nil, f.args()...)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return r, fmt.Errorf("reading fio's answer: %w", err)
	}
	if len(r.Jobs) != 1 {
		return r, fmt.Errorf("fio answered for %d jobs instead of one", len(r.Jobs))
	}
	return r, nil
}

// DD reads a file with dd in blocks of 1 MiB. Writing is not compared: dd has
// to read what it writes, which the guest binary and fio make in memory.
type DD struct{ File string }

var ddLine = regexp.MustCompile(`(\d+) bytes .* copied, ([0-9.e+-]+) s`)

// Rate measures bytes per second, cold.
func (d DD) Rate(ctx context.Context) (float64, error) {
	if err := dropCaches(); err != nil {
		return 0, err
	}
	_, complaints, err := run2(ctx, []string{"LC_ALL=C"}, "dd", "bs=1M", "if="+d.File, "of=/dev/null")
	if err != nil {
		return 0, err
	}
	m := ddLine.FindStringSubmatch(complaints)
	if m == nil {
		return 0, fmt.Errorf("dd said %q", complaints)
	}
	bytes, err1 := strconv.ParseFloat(m[1], 64)
	seconds, err2 := strconv.ParseFloat(m[2], 64)
	if err1 != nil || err2 != nil || seconds <= 0 {
		return 0, fmt.Errorf("dd said %q", complaints)
	}
	return bytes / seconds, nil
}

// dropCaches empties the page cache, as root may.
func dropCaches() error {
	unix.Sync()
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3\n"), 0)
}
