//go:build !linux

package guest

import (
	"runtime"

	"github.com/capsem/capsem-bench/internal/record"
)

func platform(r *record.Run) { r.Arch = runtime.GOARCH }

func filesystem(string) string { return "" }
