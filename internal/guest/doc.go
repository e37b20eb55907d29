// Package guest is what the benchmarks share inside the guest binary: the run
// with its header, watchdog and signals; passes and their timing; work
// directories; cold caches and their proof; the clients of the http and
// snapshot categories.
//
// Its output is the benchmark text of docs/format.md: Go benchmark format
// plus the comment lines of package record. The one decision behind it: a
// pass times itself and returns exact values, and testing only repeats and
// prints. So set-up and clean-up never sit inside a timer, a failure is an
// error and not a fast number, and the values in the comment lines are those
// of the result line at full precision.
//
// "Cold" means proven: after dropping, at most 1 % of the pages of the files
// that the operation reads were still in the page cache. Pages that another
// process has mapped cannot be dropped; they make a file honestly warm.
//
// The binary has to stay small and start fast, so this package imports
// neither net/http nor anything else of its size.
package guest
