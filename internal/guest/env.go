package guest

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
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
		{catalogue.EnvSizeMB, &s.SizeMB, 1 << 20, catalogue.DefaultSizeMB},
		{catalogue.EnvRequests, &s.Requests, 10_000_000, catalogue.DefaultRequests},
		{catalogue.EnvConcurrency, &s.Concurrency, 10_000, catalogue.DefaultConcurrency},
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
	if text := os.Getenv(catalogue.EnvCLIs); text != "" {
		var err error
		if s.CLIs, err = catalogue.ParseCLIs(text); err != nil {
			return s, fmt.Errorf("%s: %w", catalogue.EnvCLIs, err)
		}
	}
	if _, err := strconv.ParseUint(seedText(), 10, 64); err != nil {
		return s, fmt.Errorf("%s=%q: want a whole number", catalogue.EnvSeed, seedText())
	}
	if text := os.Getenv(catalogue.EnvDropped); text != "" && text != catalogue.DroppedAll && text != catalogue.DroppedFiles {
		return s, fmt.Errorf("%s=%q: want %s or %s", catalogue.EnvDropped, text, catalogue.DroppedAll, catalogue.DroppedFiles)
	}
	for _, env := range []string{catalogue.EnvTimeout, catalogue.EnvCLITimeout, catalogue.EnvSnapshotTimeout} {
		if text := os.Getenv(env); text != "" {
			if d, err := time.ParseDuration(text); err != nil || d <= 0 {
				return s, fmt.Errorf("%s=%q: want a duration such as 90s", env, text)
			}
		}
	}
	return s, nil
}

func seedText() string {
	if text := os.Getenv(catalogue.EnvSeed); text != "" {
		return text
	}
	return "1"
}

// Seed is the seed of this run, fixed unless chosen: two runs on one image do
// the same work.
func Seed() uint64 {
	n, _ := strconv.ParseUint(seedText(), 10, 64)
	return n
}

// emulatedScale is how much longer the limits are under emulation. gemini's
// start takes 47 s there when the host is calm, and 4 s on a processor.
const emulatedScale = 5

// limitScale is by how much the limits are longer here: the sandbox says when
// it emulates the processor.
func limitScale() int {
	if os.Getenv(catalogue.EnvAccel) == "tcg" {
		return emulatedScale
	}
	return 1
}

// limit is a limit of real time: what the user has set, else the default,
// scaled under emulation.
func limit(env string, def time.Duration) time.Duration {
	if d, err := time.ParseDuration(os.Getenv(env)); err == nil && d > 0 {
		return d
	}
	return def * time.Duration(limitScale())
}

// passTimeout is the watchdog's limit. The longest pass, 10,000 synced writes
// on a slow disk, takes about a minute; three starts of a hanging CLI take
// three.
func passTimeout() time.Duration { return limit(catalogue.EnvTimeout, 5*time.Minute) }

// CLITimeout is the limit of one start of a CLI. The slowest known takes 4 s;
// Capsem's tool gives 60.
func CLITimeout() time.Duration { return limit(catalogue.EnvCLITimeout, 60*time.Second) }

// SnapshotTimeout is the limit of one snapshots call. A healthy one takes half a
// second; Capsem's tool gives 30.
func SnapshotTimeout() time.Duration { return limit(catalogue.EnvSnapshotTimeout, 30*time.Second) }
