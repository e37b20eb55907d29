// Package guest runs the guest binary: its header, its watchdog and signals,
// the suite of operations and their passes, work directories, and the settings.
// The tools of a category are packages below it: coldcache, blockio, procstart,
// snapshotscli.
//
// Its output is the benchmark text of docs/format.md: Go benchmark format
// plus the comment lines of package record. The one decision behind it: a
// pass times itself and returns exact values, and testing only repeats and
// prints. So set-up and clean-up never sit inside a timer, a failure is an
// error and not a fast number, and the values in the comment lines are those
// of the result line at full precision.
package guest
