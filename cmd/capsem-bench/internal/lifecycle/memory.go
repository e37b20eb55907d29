package lifecycle

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/internal/machine"
)

// A Memory is what the processes of a running VM take: of the one that is the
// VM, and of those beside it.
type Memory struct{ Emulator, Companions Processes }

// Processes are sums over some processes, in bytes.
type Processes struct{ RSS, PSS int64 }

func (p Processes) metrics() map[string]float64 {
	return map[string]float64{"rss-B": float64(p.RSS), "pss-B": float64(p.PSS)}
}

// MemoryOf sums up the memory of processes and of all that they have started
// and that has not ended (proc_pid_smaps(5)).
func MemoryOf(pids ...int) (sum Processes, err error) {
	children, err := childrenOf()
	if err != nil {
		return sum, err
	}
	roots := slices.Clone(pids)
	for len(pids) > 0 {
		pid := pids[0]
		pids = append(pids[1:], children[pid]...)
		p, err := rollup(pid)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return sum, Unsupported("only root may read how much memory these processes take")
		case err != nil && !slices.Contains(roots, pid):
			continue // a child that has ended
		case err != nil:
			return sum, err
		}
		sum.RSS += p.RSS
		sum.PSS += p.PSS
	}
	return sum, nil
}

// childrenOf lists the children of every process.
func childrenOf() (map[int][]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		return nil, Unsupported("no /proc: the memory of processes is known on Linux alone")
	}
	out := make(map[int][]int)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		// "pid (name) state ppid": the name may have anything in it.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 2 {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		out[parent] = append(out[parent], pid)
	}
	return out, nil
}

// rollup reads the sums of one process.
func rollup(pid int) (p Processes, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return p, err
	}
	rss, ok1 := machine.Kilobytes(text, "Rss:")
	pss, ok2 := machine.Kilobytes(text, "Pss:")
	if !ok1 || !ok2 {
		return p, fmt.Errorf("/proc/%d/smaps_rollup has no Rss and Pss", pid)
	}
	return Processes{rss, pss}, nil
}

// memoryInUse is the memory in use of a guest by its /proc/meminfo: all of it
// but what it could give to a program at once (proc_meminfo(5)).
func memoryInUse(meminfo []byte) (int64, error) {
	total, ok1 := machine.Kilobytes(meminfo, "MemTotal:")
	free, ok2 := machine.Kilobytes(meminfo, "MemAvailable:")
	if !ok1 || !ok2 || free > total {
		return 0, errors.New("the guest's /proc/meminfo does not say what it has and what is free")
	}
	return total - free, nil
}
