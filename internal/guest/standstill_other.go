//go:build !linux

package guest

// readClocks knows nothing here; late ticks tell of a stopped process.
func readClocks() clocks { return clocks{} }
