package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/capsem/capsem-bench/internal/shell"
)

const oneShell = "{} must be read by exactly one shell of the guest; where the template has a shell start another, " +
	"put {quoted} in its place, and where it has none, write sh -c {}"

// bases are the directories of the guest that the private one may be in; ~ is
// its home. The home comes last because in a Capsem VM it is the workspace.
func (g *Guest) bases() []string {
	if g.cfg.Dir != "" {
		return []string{g.cfg.Dir}
	}
	return []string{"/tmp", "/var/tmp", "~"}
}

// trial is one argument of every kind that goes wrong in shells.
func trial() []string {
	return []string{
		"two words", "  spaces  ", "", "it's", `"double"`, "$HOME", "${x}", "$(id)", "`id`", `back\slash`, `\\`, "*", "-n", "--",
		"line\nbreak", "tab\there", "héllo 日本語", "a;b|c&d<e>(f)", "#", "!", "%s", lineMark, quotedMark, "a=b", "~",
	}
}

// prepareScript prints its trial arguments and what the guest is, then makes
// the private directory where programs can be run, which /tmp may not allow.
// Arguments: the name, the number of directories and these, the trial.
const prepareScript = `name=$1 n=$2
shift 2
dirs=
while [ "$n" -gt 0 ]; do
	dirs=$dirs:$1 n=$((n - 1))
	shift
done
printf '` + beginMark + `\n'
printf '<%s>\n' "$@"
printf '` + endMark + `\n` + beginMark + `\n'
trap 'printf "` + endMark + `\n"' EXIT
uname -s
uname -m
umask 077
IFS=:
for d in ${dirs#:}; do
	[ "$d" != "~" ] || d=$HOME
	d=$d/$name
	mkdir "$d" 2>/dev/null || continue
	if printf '#!/bin/sh\n' >"$d/try" && chmod 700 "$d/try" && "$d/try"; then
		rm "$d/try"
		printf '%s\n' "$d"
		exit 0
	fi 2>/dev/null
	rm -rf "$d"
done
exit 0`

// The marks around what is ours, on lines of their own: a guest may print a
// greeting before it, a footer after it, and escapes next to either.
const (
	beginMark = "capsem-bench-begin"
	endMark   = "capsem-bench-end"
)

// prepare tries the run template, learns what the guest is and makes the
// private directory.
func (g *Guest) prepare(ctx context.Context) error {
	bases := g.bases()
	args := append([]string{g.name, strconv.Itoa(len(bases))}, bases...)
	out, err := g.script(ctx, prepareScript, append(args, trial()...)...)
	if err != nil && (errors.Is(err, errNoProgram) || ctx.Err() != nil) {
		return err
	}
	got, rest, err := arrived(out, err)
	if err != nil {
		return err
	}
	if err := asSent(got); err != nil {
		return err
	}
	rest, _ = framed(rest)
	lines := strings.Split(strings.TrimSuffix(rest, "\n"), "\n")
	if len(lines) < 2 {
		return errors.New("the guest does not say what it is: uname failed")
	}
	if g.arch, err = archOf(lines[0], lines[1]); err != nil {
		return err
	}
	if len(lines) < 3 {
		return fmt.Errorf("no directory of the guest can be written to and run programs: tried %s; name one with --guest-dir",
			strings.Join(bases, ", "))
	}
	dir := lines[2]
	if path.Base(dir) != g.name || !path.IsAbs(dir) || !plainPath(dir) {
		return fmt.Errorf("the guest's directory %q has characters that a copy may not survive; name another with --guest-dir", path.Dir(dir))
	}
	g.dir = dir
	return nil
}

// changed reports a line that was printed by the guest and has something more
// now: a wrapper indents it, or puts the time, a name or a colour to it.
func changed(out string) error {
	line := "<" + trial()[0] + ">"
	for got := range strings.Lines(out) {
		got = strings.TrimSuffix(got, "\n")
		if strings.Contains(got, line) && got != line {
			return fmt.Errorf("the template's program changes what the command prints: %q became %.60q; want a program that hands it on as it is", line, got)
		}
	}
	return nil
}

// asSent compares what the guest made of the trial.
func asSent(got string) error {
	want := "<" + strings.Join(trial(), ">\n<") + ">\n"
	if got == want {
		return nil
	}
	if err := changed(got); err != nil {
		return err
	}
	lines := strings.SplitAfter(got, "\n")
	for i, sent := range strings.SplitAfter(want, "\n") {
		if i == len(lines) {
			break
		}
		if lines[i] != sent {
			return fmt.Errorf("the command does not arrive in the guest as it was sent, %q became %.60q: %s", sent, lines[i], oneShell)
		}
	}
	return errors.New("the command does not arrive in the guest as it was sent: " + oneShell)
}

// arrived finds the trial in what the guest printed; failed is how the command
// ended.
func arrived(out string, failed error) (trial, rest string, err error) {
	_, after, ok := strings.Cut(out, beginMark+"\n")
	trial, rest, whole := strings.Cut(after, endMark+"\n")
	switch {
	case ok && whole && failed == nil:
		return trial, rest, nil
	case strings.Contains(out, beginMark+"\r\n"):
		return "", "", errors.New("the template gives the command a terminal, which changes what it prints; leave that out (docker: -t, ssh: -tt)")
	case changed(out) != nil:
		return "", "", changed(out)
	case failed != nil:
		return "", "", fmt.Errorf("reaching the guest: %w\nTry the template by hand with true for {}; %s", failed, oneShell)
	}
	return "", "", errors.New("the template's program printed nothing of what the command prints: " +
		"it does not run it, or not with its standard output; try it by hand with 'echo hello' for {}")
}

// archOf returns the GOARCH of a guest.
func archOf(system, machine string) (string, error) {
	if system != "Linux" {
		return "", fmt.Errorf("the guest is %q, not Linux", system)
	}
	switch machine {
	case "x86_64", "amd64":
		return "amd64", nil
	case "aarch64", "arm64":
		return "arm64", nil
	}
	return "", fmt.Errorf("the guest is %q; there are benchmarks for x86_64 and aarch64", machine)
}

// plainPath reports a path that means itself to shells, ssh and the like.
func plainPath(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._+-@%", r))
	}) < 0
}

// framed is what stands between the marks.
func framed(out string) (text string, ok bool) {
	_, after, begun := strings.Cut(out, beginMark+"\n")
	text, _, ended := strings.Cut(after, endMark+"\n")
	return text, begun && ended
}

// sizeScript prints the size of $1 between the marks.
const sizeScript = `printf '` + beginMark + `\n%s\n` + endMark + `\n' "$(wc -c <"$1")"`

// arriveScript finishes a copy and prints its size. Arguments: where it belongs.
const arriveScript = `chmod 700 "$1" && ` + sizeScript

// homeScript moves a copy from home to where it belongs. Arguments: its name
// at home, where it belongs.
const homeScript = `for f in "$HOME/$1" "./$1"; do
	[ -f "$f" ] && mv "$f" "$2" && chmod 700 "$2" && set -- "$2" && ` + sizeScript + ` && exit
done
exit 1`

// copyIn copies a file of this machine into the private directory.
func (g *Guest) copyIn(ctx context.Context, src, name string) error {
	info, err := os.Stat(src)
	if err != nil {
		return err
	}
	dst := path.Join(g.dir, name)
	if g.t.copy == nil {
		return g.stream(ctx, src, dst, info.Size())
	}
	src, done, err := plainCopy(src)
	if err != nil {
		return err
	}
	defer done()
	_, err = call(ctx, copyTimeout, g.t.copyArgs(src, dst), nil)
	if err == nil {
		var out string
		out, err = g.script(ctx, arriveScript, dst)
		err = whole(out, err, info.Size())
	}
	if err == nil || ctx.Err() != nil || errors.Is(err, errNoProgram) {
		return err
	}
	// Some take every destination for one in the guest's home.
	if _, again := call(ctx, copyTimeout, g.t.copyArgs(src, g.name), nil); again != nil {
		return err
	}
	out, again := g.script(ctx, homeScript, g.name, dst)
	if whole(out, again, info.Size()) != nil {
		return err
	}
	return nil
}

// stream copies through the standard input of the run template.
func (g *Guest) stream(ctx context.Context, src, dst string, size int64) error {
	f, err := os.Open(src)
	if err != nil {
		return err
	}
	defer f.Close()
	line := shell.Join("sh", "-c", `cat >"$1" && `+arriveScript, "capsem-bench", dst)
	out, err := call(ctx, copyTimeout, g.t.runArgs(line), f)
	if err != nil {
		return err // the template's or the guest's own reason, such as a full disk
	}
	if err = whole(out, err, size); err != nil {
		return fmt.Errorf("%w; if the template takes no standard input, give --copy", err)
	}
	return nil
}

// whole checks the size that the guest found.
func whole(out string, err error, size int64) error {
	if err != nil {
		return err
	}
	text, ok := framed(out)
	if !ok {
		return fmt.Errorf("the guest does not say how much of %d bytes arrived", size)
	}
	if got := strings.TrimSpace(text); got != strconv.FormatInt(size, 10) {
		return fmt.Errorf("%.20q of %d bytes arrived", got, size)
	}
	return nil
}

// plainCopy makes a copy with a plain name of a file whose name may mean
// something else to the copy template.
func plainCopy(src string) (name string, done func(), err error) {
	if plainPath(src) {
		return src, func() {}, nil
	}
	dir, err := scratch.New("/tmp", "capsem-copy-")
	if err != nil {
		return "", nil, err
	}
	done = func() { _ = dir.Close() }
	defer func() {
		if err != nil {
			done()
		}
	}()
	from, err := os.Open(src)
	if err != nil {
		return "", nil, err
	}
	defer from.Close()
	name = filepath.Join(dir.Path(), "file")
	to, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return "", nil, err
	}
	_, err = io.Copy(to, from)
	return name, done, errors.Join(err, to.Close())
}
