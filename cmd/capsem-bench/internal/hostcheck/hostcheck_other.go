//go:build !linux

package hostcheck

import "runtime"

// ticks of processors that this system does not tell.
type ticks struct {
	total, busy, steal, own, load float64
	cpus                          int
}

func readTicks(string) ticks { return ticks{} }

func (r *Report) kernel(Options) {
	r.add("kernel", Doubt, "close what else runs, and trust the burn-in loop", "%s does not say who else uses this machine", runtime.GOOS)
}
