package guest

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// userHZ is the unit of times in /proc/stat, the same on every architecture
// that Go runs on: 1/100 s.
const userHZ = 100

// readClocks reads the clocks; what cannot be read is 0.
func readClocks() (c clocks) {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) == nil && unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) == nil {
		c.asleep = time.Duration(boot.Nano() - mono.Nano())
	}
	c.stolen = stolen()
	return c
}

// stolen is the steal time of all processors since the boot: the 8th number of
// the first line of /proc/stat, see proc_stat(5).
func stolen() time.Duration {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0
	}
	defer f.Close()
	line, _ := bufio.NewReader(f).ReadString('\n')
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0
	}
	n, err := strconv.ParseInt(fields[8], 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(n) * (time.Second / userHZ)
}
