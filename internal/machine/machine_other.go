//go:build !linux

package machine

import (
	"runtime"

	"github.com/capsem/capsem-bench/internal/record"
)

func platform(r *record.Run) { r.Arch = runtime.GOARCH }

func filesystem(string) string { return "" }
