package convert

import (
	"bytes"
	"fmt"
	"regexp"
)

// A Failure is one line by which go test says that its run failed, whatever it
// measured before. Line is 0 where no line says it.
type Failure struct {
	File   string
	Line   int
	Reason string
}

func (f Failure) String() string {
	return Warning{f.File, f.Line, f.Reason}.String()
}

// maxFailures bounds the failures kept; one is enough to fail a run.
const maxFailures = 20

// fail keeps the reason why a run failed. A bare FAIL says nothing beside
// another reason.
func (p *reader) fail(reason string) {
	fs := p.rep.Failures
	for _, f := range fs {
		if f.Reason == reason || reason == bareFail && f.File == p.file {
			return
		}
	}
	if len(fs) < maxFailures {
		p.rep.Failures = append(fs, Failure{p.file, p.line, reason})
	}
}

const bareFail = "FAIL"

// packageFailed is the line with which go test ends a package: its name and
// how long it took, or why it was not run. Copied text has blanks for tabs.
var packageFailed = regexp.MustCompile(`^FAIL[\t ]+(\S+)[\t ]+(\[[a-z ]+\]|[0-9.]+s)$`)

var (
	// exitStatus is that of a failed program; Windows has its own in hexadecimal.
	exitStatus = regexp.MustCompile(`^exit status ([1-9][0-9]*|0x[0-9a-f]*[1-9a-f][0-9a-f]*)$`)
	// killedBySignal is the runtime's line before it dumps its goroutines.
	killedBySignal = regexp.MustCompile(`^SIG(ABRT|BUS|FPE|ILL|QUIT|SEGV|STKFLT|SYS|TRAP|XCPU|XFSZ): [a-z]`)
	// sanitizer begins the report of one that ends the program.
	sanitizer = regexp.MustCompile(`^==[0-9]+==\s?ERROR: [A-Za-z]+Sanitizer: `)
)

// failure returns why a line says that the run failed, "" if it does not: the
// last lines of package testing and of go test, and those of the runtime and
// of the race detector before the binary ends itself.
func failure(line []byte) string {
	line = bytes.TrimRight(line, " \t\r")
	if len(line) == 0 {
		return ""
	}
	is := func(prefix string) bool { return bytes.HasPrefix(line, []byte(prefix)) }
	switch line[0] { // most lines are none of these
	case 'F':
		if string(line) == bareFail {
			return bareFail
		}
		if m := packageFailed.FindSubmatch(line); m != nil {
			return fmt.Sprintf("package %s failed (%s)", clean(m[1], 200), bytes.Trim(m[2], "[]"))
		}
		if rest, ok := bytes.CutPrefix(line, []byte("FAIL\t")); ok {
			return clean(bytes.ReplaceAll(rest, []byte("\t"), []byte(" ")), 200)
		}
	case 'p', 'f', 's', '*':
		if is("panic: ") || is("fatal error: ") || is("signal: ") || is("*** Test killed") {
			return clean(line, 200)
		}
	case 'e':
		if exitStatus.Match(line) {
			return clean(line, 200)
		}
	case 'S':
		if killedBySignal.Match(line) {
			return clean(line, 200)
		}
	case '=':
		if sanitizer.Match(line) {
			return clean(line, 200)
		}
	case 'r':
		if is("race: limit on ") && bytes.HasSuffix(line, []byte("dying")) {
			return clean(line, 200)
		}
	case 'W':
		if string(line) == "WARNING: DATA RACE" {
			return "data race"
		}
	case 't':
		if is("testing.go:") && bytes.Contains(line, []byte("race detected during execution of test")) {
			return "race detected during execution of test"
		}
	}
	return ""
}
