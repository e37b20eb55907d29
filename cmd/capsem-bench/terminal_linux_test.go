package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// openPTY opens a terminal (pty(7)) with that many columns: what is written to
// the one end is read from the other.
func openPTY(t *testing.T, columns uint16) (control, terminal *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	fd := int(control.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	return control, terminal
}

// onTerminal runs the command with standard error on a terminal, and returns
// what that was told.
func (tr *trial) onTerminal(t *testing.T, columns uint16, args ...string) string {
	t.Helper()
	control, terminal := openPTY(t, columns)
	shown := make(chan string)
	go func() {
		var b bytes.Buffer
		from := io.Reader(control)
		if tr.screen != nil {
			from = io.TeeReader(control, tr.screen)
		}
		_, _ = b.ReadFrom(from) // until the last holder of the terminal ends, which is an error
		shown <- b.String()
	}()
	tr.terminal = terminal
	tr.start(t, args...)
	require.NoError(t, terminal.Close())
	status := tr.wait(t)
	out := <-shown
	_ = control.Close()
	assert.Equal(t, exitOK, status, out)
	return out
}

// slowGuest is a guest that takes a second for an operation with a name, and
// is known to have taken a minute last time.
func slowGuest(t *testing.T, tr *trial, op string) {
	t.Helper()
	cache := filepath.Join(t.TempDir(), "capsem-bench")
	require.NoError(t, os.MkdirAll(cache, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(cache, "durations.json"), []byte(`{"`+op+`":60}`), 0o600))
	guest := tr.program(t, "guest", `
say() { printf '%s\n' "$1"; }
say '#capsem {"type":"run","schema":"capsem-bench.text/1","version":"0.1.0","time":1800000000,"seed":1,"hostname":"h","arch":"x86_64","root":true,"rounds":1,"expected":["`+op+`"]}'
say '#capsem {"type":"start","op":"`+op+`"}'
sleep 1
say 'Benchmark`+op+` 	       1	  95331 ns/op	   10490 req/s'
say '#capsem {"type":"status","op":"`+op+`","status":"ok"}'
say '#capsem {"type":"end","time":1800000001,"elapsed_ns":1000000000,"status":"ok"}'`)
	tr.env = append(tr.env, "CAPSEM_BENCH_TEST="+guest, "XDG_CACHE_HOME="+filepath.Dir(cache))
}

const (
	drawn  = "\r\x1b[K" // begins and erases a progress line
	someOp = "HTTP/n=50/c=5"
)

var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Progress and colour are for terminals, colour not with NO_COLOR, and a
// terminal that can do neither gets neither.
func TestTerminal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name             string
		env              []string
		args             []string
		progress, colour bool
	}{
		{"plain", []string{"TERM=xterm"}, nil, true, true},
		{"NO_COLOR", []string{"TERM=xterm", "NO_COLOR=1"}, nil, true, false},
		{"dumb", []string{"TERM=dumb"}, nil, false, false},
		{"verbose", []string{"TERM=xterm"}, []string{"--verbose"}, false, true},
		{"quiet", []string{"TERM=xterm"}, []string{"--quiet"}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTrial(t, tt.env...)
			slowGuest(t, tr, someOp)
			out := tr.onTerminal(t, 80, append([]string{"run", "http"}, tt.args...)...)
			assert.Equal(t, tt.progress, strings.Contains(out, drawn+"HTTP/n=50/c=5, 1m0s left  "), "progress: %q", out)
			assert.Equal(t, tt.colour, colour.MatchString(out), "colour: %q", out)
			rest := colour.ReplaceAllString(strings.ReplaceAll(out, drawn, ""), "")
			assert.NotContains(t, rest, "\x1b")
			assert.NotContains(t, strings.ReplaceAll(rest, "\r\n", "\n"), "\r")
			assert.NotContains(t, tr.stdout.String(), "\x1b", "standard output is data")
			assert.True(t, tr.document(t).Additions.Complete)
		})
	}
}

// The same in a pipe: no progress, no colour, whatever the environment says.
func TestPipe(t *testing.T) {
	t.Parallel()
	tr := newTrial(t, "TERM=xterm", "COLORTERM=truecolor")
	slowGuest(t, tr, someOp)
	require.Equal(t, exitOK, tr.run(t, "run", "http"), tr.stderr.String())
	assert.NotContains(t, tr.stderr.String(), "\x1b")
	assert.NotContains(t, tr.stderr.String(), "\r")
	assert.Contains(t, tr.stderr.String(), "HTTP Benchmark")
}

// Every line fits the terminal, so that a progress line can be erased; also
// where a character takes two columns.
func TestTerminalWidth(t *testing.T) {
	t.Parallel()
	for i, tt := range []struct {
		columns uint16
		op      string
		want    string // the progress line
	}{
		{80, someOp, "HTTP/n=50/c=5, 1m0s left  1s (last time 1m0s)"},
		{40, someOp, "HTTP/n=50/c=5, 1m0s left  1s"},
		{30, someOp, "HTTP/n=50/c=5, 1m0s left  1s"},
		{30, "HTTP/n=50/c=5/scenario=a_long_one", "HTTP/n=50/c=5/scenario...  1s"},
		{30, "HTTP/n=漢字漢字漢字漢字漢字漢字", "HTTP/n=漢字漢字漢字漢...  1s"},
		{0, "HTTP/n=50/c=5/scenario=" + strings.Repeat("x", 80), "HTTP/n=50/c=5/scenario=" + strings.Repeat("x", 49) + "...  1s"}, // not known: 80
	} {
		t.Run(fmt.Sprint(i, " of ", tt.columns), func(t *testing.T) {
			tr := newTrial(t, "TERM=xterm")
			slowGuest(t, tr, tt.op)
			out := tr.onTerminal(t, tt.columns, "run", "http")
			columns := int(tt.columns)
			if columns == 0 {
				columns = 80
			}
			for part := range strings.SplitSeq(out, drawn) {
				line, _, more := strings.Cut(part, "\r\n")
				if !more {
					assert.Less(t, text.StringWidth(line), columns, "%q", line)
				}
			}
			assert.Contains(t, strings.ReplaceAll(out, "  0s", "  1s"), drawn+tt.want+drawn)
		})
	}
}

// The line says which operation of how many, which round of how many, and the
// time that is left where all that is ahead was measured before. The guest goes
// on when it sees the line on the terminal.
func TestProgress(t *testing.T) {
	t.Parallel()
	tr := newTrial(t, "TERM=xterm")
	cache := filepath.Join(t.TempDir(), "capsem-bench")
	require.NoError(t, os.MkdirAll(cache, 0o700))
	known := `{"HTTP/n=50/c=5": 3600, "Snapshot/files=10/op=create": 7200, "Snapshot/files=10/op=list": 1800}`
	require.NoError(t, os.WriteFile(filepath.Join(cache, "durations.json"), []byte(known), 0o600))
	screen, err := os.Create(filepath.Join(t.TempDir(), "screen"))
	require.NoError(t, err)
	defer screen.Close()
	guest := tr.program(t, "guest", `
# shown PATTERN: waits until it is on the terminal.
shown() {
    for _ in $(seq 600); do
        ! grep -qE "$1" '`+screen.Name()+`' || return 0
        sleep 0.1
    done
    echo "not shown: $1" >&2
    exit 3
}
say() { printf '%s\n' "$1"; }
op() {
    say "Benchmark$1 1 95331 ns/op"
    say '#capsem {"type":"samples","op":"'"$1"'","round":'"$2"',"elapsed_ns":95331,"count":1}'
}
finished() { say '#capsem {"type":"status","op":"'"$1"'","status":"ok"}'; }
say '#capsem {"type":"run","schema":"capsem-bench.text/1","version":"0.1.0","time":1800000000,"seed":1,"hostname":"h","arch":"x86_64","root":true,"rounds":3,"expected":["HTTP/n=50/c=5","Snapshot/files=10/op=create","Snapshot/files=10/op=list"]}'
say '#capsem {"type":"start","op":"HTTP/n=50/c=5"}'
shown 'HTTP/n=50/c=5, op 1/3, round 1/3, 3h(30m0|29m[0-9]+)s left'
op HTTP/n=50/c=5 1
shown 'HTTP/n=50/c=5, op 1/3, round 2/3, 3h(30m0|29m[0-9]+)s left'
op HTTP/n=50/c=5 2
op HTTP/n=50/c=5 3
finished HTTP/n=50/c=5
say '#capsem {"type":"start","op":"Snapshot/files=10/op=create"}'
shown 'Snapshot/files=10/op=create, op 2/3, round 1/3, 2h'
for round in 1 2 3; do op Snapshot/files=10/op=create $round; done
finished Snapshot/files=10/op=create
say '#capsem {"type":"start","op":"Snapshot/files=10/op=list"}'
for round in 1 2 3; do op Snapshot/files=10/op=list $round; done
finished Snapshot/files=10/op=list
say '#capsem {"type":"end","time":1800000001,"elapsed_ns":1000000000,"status":"ok"}'`)
	tr.env = append(tr.env, "CAPSEM_BENCH_TEST="+guest, "XDG_CACHE_HOME="+filepath.Dir(cache))
	tr.screen = screen
	out := tr.onTerminal(t, 100, "run", "http", "snapshot", "--count", "3")
	assert.True(t, tr.document(t).Additions.Complete, out)
}
