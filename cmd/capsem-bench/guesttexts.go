package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/capsem/capsem-bench/sandbox/remote"
)

// resultsVariable names a directory in which runs without --out keep their
// results, each in a directory of its own. vm exec sets it in the VM.
const resultsVariable = catalogue.EnvResults

// guestResults is that directory in a VM: in memory, so that it is no part of
// the workspace whose snapshots are measured.
const guestResults = "/run/capsem-bench-results"

// keepsResults is the guest's environment where what it measures is wanted.
func keepsResults(out string) []string {
	if out == "" {
		return nil
	}
	return []string{resultsVariable + "=" + guestResults}
}

// guestTexts is the benchmark text of whatever was measured in one VM by hand:
// one text, however often capsem-bench ran, because one VM is one boot.
type guestTexts struct {
	v     *sandbox.VM
	file  *textFile
	path  string
	clock *clockLine
	head  int64
	stop  context.CancelCauseFunc
}

// newGuestTexts begins the text in a directory; without one there is none.
func newGuestTexts(ctx context.Context, v *sandbox.VM, dir string) *guestTexts {
	if dir == "" {
		return nil
	}
	t := &guestTexts{v: v, path: filepath.Join(dir, textName)}
	t.file = newTextFile(t.path, func(err error) { t.stop(err) })
	t.clock = beginClock(ctx, v, t.file)
	_, _ = io.WriteString(t.file, record.GuestLine)
	t.head = t.file.Len()
	return t
}

// fetch copies what the guest kept. A guest that kept nothing is no error, and
// neither is one that has gone: the command's own end says so.
func (t *guestTexts) fetch(ctx context.Context) {
	if t == nil {
		return
	}
	t.clock.end(ctx)
	ctx, t.stop = context.WithCancelCause(ctx)
	defer t.stop(nil)
	// Names begin with the time, so the shell's order is that of the runs.
	line := "exec cat " + shell.Join(guestResults) + "/*/" + textName
	_, _ = t.v.Exec(ctx, remote.Command{Line: line, Stdout: t.file, Stderr: io.Discard})
}

// close ends the text, and removes it if there is nothing of a guest in it.
func (t *guestTexts) close() error {
	if t == nil {
		return nil
	}
	err := errors.Join(t.file.err, t.file.Close())
	if err == nil && t.file.Len() == t.head {
		err = os.Remove(t.path)
	}
	return err
}
