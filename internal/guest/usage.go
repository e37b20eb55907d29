package guest

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/internal/machine"
)

// A Usage is what this process uses while something is measured.
type Usage struct {
	CPU        time.Duration // user and system time
	PeakRSS    int64         // bytes; 0 is not known
	Processors int           // that the process may use
}

// StartUsage begins one; end returns it. The peak of the resident memory is set
// back, where Linux lets it: that of getrusage is the whole process's, which
// grows from one measurement to the next.
func StartUsage() (end func() Usage) {
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // proc_pid_clear_refs(5)
	before := cpuTime()
	return func() Usage { return Usage{cpuTime() - before, residentPeak(), runtime.GOMAXPROCS(0)} }
}

// limited is the share of its processors from which on a client itself may be
// what limits a rate.
const limited = 0.9

// judged is the shortest time over which the share is one of the client: kernels
// account processor time in ticks of 1 to 10 ms.
const judged = 100 * time.Millisecond

// Doubt is the remark that belongs beside a rate over some time, "" if the
// client did not limit it, or if the time is too short to say.
func (u Usage) Doubt(elapsed time.Duration) string {
	if elapsed < judged {
		return ""
	}
	if busy := u.CPU.Seconds() / elapsed.Seconds() / float64(max(u.Processors, 1)); busy >= limited {
		return fmt.Sprintf("the client used %.0f %% of its processors: the rate may be its limit", 100*busy)
	}
	return ""
}

// cpuTime is the user and system time of this process.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// residentPeak reads VmHWM; 0 where there is no such file.
func residentPeak() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	peak, _ := machine.Kilobytes(status, "VmHWM:")
	return peak
}
