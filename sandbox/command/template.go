// Package command is the sandbox that is somebody else's: a real Capsem VM, a
// machine behind ssh, a container. It is reached by two templates of commands
// on the host, one that runs something in the guest and one that copies a file
// into it:
//
//	capsem exec vm1 {} --timeout 900        capsem cp {src} vm1:{dst}
//	ssh root@vm {}                          scp -q {src} root@vm:{dst}
//	docker exec -i box sh -c {}             docker cp {src} box:{dst}
//
// A template is split into words as a shell does it, but no shell of the host
// ever sees it. {} stands for the command line, quoted for one shell of the
// guest, in one argument of the program (or in the middle of one). Where a
// shell starts another, {quoted} stands for the same as one word:
// ssh vm sudo sh -c {quoted}.
//
// In every template {name} stands for the name of the guest, {side} for base or
// cand, {slot} for the number of the boot and {bin} for a program. With Hooks a
// guest is made for each boot and deleted after it, which is what a boot should be.
//
// Whatever the templates lead to is tried before anything is measured: a
// command with every kind of argument must come through unchanged. The
// benchmarks run from a private directory, which is removed afterwards, also
// after failures and interrupts; the text comes back through the standard
// output of the run template, so nothing is read from the guest but that.
package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/capsem/capsem-bench/internal/shell"
)

// The placeholders.
const (
	lineMark   = "{}"       // of the run template
	quotedMark = "{quoted}" // of the run template
	srcMark    = "{src}"    // of the copy template
	dstMark    = "{dst}"    // of the copy template
)

// ErrTemplate marks errors of wrong usage.
var ErrTemplate = errors.New("template")

// templates are what a user gave, split into words.
type templates struct {
	run, copy []string // copy is nil when the run template copies too
	hooks
	marks Marks
}

func (c Config) parse() (t templates, err error) {
	run, copy := c.Exec, c.Copy
	t.marks = c.Marks
	if t.run, err = c.words("--exec", run); err != nil {
		return t, err
	}
	if t.hooks, err = c.parseHooks(); err != nil {
		return t, err
	}
	if !contains(t.run, lineMark) && !contains(t.run, quotedMark) {
		return t, bad("--exec", "%q has no {}, which stands for the command to run; want for example 'ssh root@vm {}'", run)
	}
	if copy == "" {
		return t, nil
	}
	if t.copy, err = c.words("--copy", copy); err != nil {
		return t, err
	}
	for _, mark := range []string{srcMark, dstMark} {
		if !contains(t.copy, mark) {
			return t, bad("--copy", "%q has no %s; want for example 'scp -q {src} root@vm:{dst}'", copy, mark)
		}
	}
	return t, nil
}

func bad(flag, format string, args ...any) error {
	return fmt.Errorf("%w %s: %w", ErrTemplate, flag, fmt.Errorf(format, args...))
}

func (c Config) words(flag, text string) ([]string, error) {
	words, err := shell.Split(text)
	switch {
	case err == nil && c.Bin == "" && contains(words, binMark):
		return nil, bad(flag, "it has {bin}, which stands for the program of --bin")
	case err != nil:
		return nil, bad(flag, "%w", err)
	case len(words) == 0:
		return nil, bad(flag, "it is empty; it is how the sandbox is reached, for example 'ssh root@vm {}'")
	case strings.ContainsAny(strings.ReplaceAll(words[0], binMark, ""), "{}"):
		return nil, bad(flag, "%q is no program of this machine", words[0])
	case strings.Contains(text, "\x00"):
		return nil, bad(flag, "it has a NUL byte")
	}
	return words, nil
}

func contains(words []string, mark string) bool {
	for _, w := range words {
		if strings.Contains(w, mark) {
			return true
		}
	}
	return false
}

// runArgs returns the argument list that runs a command line in the guest.
func (t templates) runArgs(line string) []string {
	return fill(t.run, append(t.marks.marks(), lineMark, line, quotedMark, shell.Quote(line))...)
}

// copyArgs returns the argument list that copies a file into the guest.
func (t templates) copyArgs(src, dst string) []string {
	return fill(t.copy, append(t.marks.marks(), srcMark, src, dstMark, dst)...)
}

// fill replaces the placeholders in one go, so that what is put in is never
// taken for a placeholder.
func fill(words []string, oldnew ...string) []string {
	r := strings.NewReplacer(oldnew...)
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = r.Replace(w)
	}
	return out
}
