// Package sandbox is where the guest binary runs: here on this machine between
// the host services that a Capsem VM would have (Local), in a VM of ours (VM),
// or, by its package command, in a guest of somebody else's.
//
// A sandbox starts the guest binary, hands its standard output on as it comes,
// and ends with it. What may be different between sandboxes is only the
// environment that the guest binary sees; what it measures and how is its own
// business, so figures of all sandboxes have the same names.
package sandbox

import (
	"context"
	"io"

	"github.com/capsem/capsem-bench/host/session"
)

// A Sandbox is one fresh place for the guest binary, which is one boot.
type Sandbox interface {
	// Run runs the guest binary with the given arguments, once or more often
	// but not at once, and hands on what it prints as it comes. The status is
	// the guest binary's own; err says that it could not be run or did not end
	// by itself. When ctx ends, Run interrupts the guest binary and gives it
	// time to say what it has.
	Run(ctx context.Context, args []string, stdout, stderr io.Writer) (status int, err error)
	// Close ends whatever belongs to the sandbox and waits for that, also after
	// a failed Run.
	Close() error
}

// A Boot is what one fresh sandbox is given.
type Boot struct {
	Dir  string // of the results, on the disk to measure
	Slot int    // number of the boot in its run, from 1
	// Session returns the session database of the run, which all its boots
	// share. It is made when first asked for; the boot does not close it.
	Session func() (*session.Writer, error)
	Env     []string          // further variables of the guest binary
	Notify  func(what string) // tells the progress line what is under way
}
