package guest

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

// The environment variables that configure the guest binary.
const (
	EnvDir             = "CAPSEM_BENCH_DIR"              // where to work; default: home
	EnvSizeMB          = "CAPSEM_BENCH_SIZE_MB"          // sequential disk file, MiB
	EnvRequests        = "CAPSEM_BENCH_HTTP_N"           // requests
	EnvConcurrency     = "CAPSEM_BENCH_HTTP_C"           // workers
	EnvURL             = "CAPSEM_BENCH_HTTP_URL"         // http
	EnvThroughputURL   = "CAPSEM_BENCH_THROUGHPUT_URL"   // throughput
	EnvSeed            = "CAPSEM_BENCH_SEED"             // of offsets and data
	EnvTimeout         = "CAPSEM_BENCH_TIMEOUT"          // watchdog of one pass
	EnvCLITimeout      = "CAPSEM_BENCH_CLI_TIMEOUT"      // one start of a CLI
	EnvSnapshotTimeout = "CAPSEM_BENCH_SNAPSHOT_TIMEOUT" // one snapshots call
	EnvWorkspace       = "CAPSEM_BENCH_WORKSPACE"        // root of the shared workspace; default: home
	EnvShared          = "CAPSEM_BENCH_SNAPSHOT_SHARED"  // "1": go on beside the user's own snapshots
	EnvSandbox         = "CAPSEM_BENCH_SANDBOX"          // these three are copied into the run line
	EnvAccel           = "CAPSEM_BENCH_ACCEL"
	EnvImage           = "CAPSEM_BENCH_IMAGE"
	// EnvHostCaches names the service of the host that drops its caches:
	// vsock:CID:PORT, or unix:PATH. A connection asks for it; the answer is
	// one line, "dropped" or "kept: " and the reason. Without it nobody is asked.
	EnvHostCaches = "CAPSEM_BENCH_HOST_CACHES"
)

// Settings reads the sizes of the passes from the environment. What is not a
// positive number is an error, never a silent default.
func Settings() (catalogue.Settings, error) {
	var s catalogue.Settings
	for _, v := range []struct {
		env string
		dst *int
		max int
		def int
	}{
		{EnvSizeMB, &s.SizeMB, 1 << 20, catalogue.DefaultSizeMB},
		{EnvRequests, &s.Requests, 10_000_000, catalogue.DefaultRequests},
		{EnvConcurrency, &s.Concurrency, 10_000, catalogue.DefaultConcurrency},
	} {
		text := os.Getenv(v.env)
		if text == "" {
			*v.dst = v.def
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > v.max {
			return s, fmt.Errorf("%s=%q: want a whole number from 1 to %d", v.env, text, v.max)
		}
		*v.dst = n
	}
	if _, err := strconv.ParseUint(seedText(), 10, 64); err != nil {
		return s, fmt.Errorf("%s=%q: want a whole number", EnvSeed, seedText())
	}
	for _, env := range []string{EnvTimeout, EnvCLITimeout, EnvSnapshotTimeout} {
		if text := os.Getenv(env); text != "" {
			if d, err := time.ParseDuration(text); err != nil || d <= 0 {
				return s, fmt.Errorf("%s=%q: want a duration such as 90s", env, text)
			}
		}
	}
	return s, nil
}

func seedText() string {
	if text := os.Getenv(EnvSeed); text != "" {
		return text
	}
	return "1"
}

// seed is fixed unless chosen: two runs on one image do the same work.
func seed() uint64 {
	n, _ := strconv.ParseUint(seedText(), 10, 64)
	return n
}

// passTimeout is the watchdog's limit. The longest pass, 10,000 synced writes
// on a slow emulated disk, takes about a minute; three starts of a hanging
// CLI take three.
func passTimeout() time.Duration { return duration(EnvTimeout, 5*time.Minute) }

func duration(env string, def time.Duration) time.Duration {
	if d, err := time.ParseDuration(os.Getenv(env)); err == nil && d > 0 {
		return d
	}
	return def
}

// CLITimeout is the limit of one start of a CLI. The slowest known takes 4 s;
// Capsem's tool gives 60.
func CLITimeout() time.Duration { return duration(EnvCLITimeout, 60*time.Second) }

// SnapshotTimeout is the limit of one snapshots call. A healthy one takes
// half a second, with Python in a slow VM three; Capsem's tool gives 30.
func SnapshotTimeout() time.Duration { return duration(EnvSnapshotTimeout, 30*time.Second) }
