package remote_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// options are what plain ssh, scp and sftp need to reach the guest.
func (g *guest) options(t *testing.T) []string {
	t.Helper()
	c, err := g.Dial(t.Context())
	require.NoError(t, err)
	defer c.Close()
	port := c.RemoteAddr().(*net.TCPAddr).Port
	known := filepath.Join(t.TempDir(), "known")
	require.NoError(t, os.WriteFile(known, fmt.Appendf(nil, "[127.0.0.1]:%d %s", port, g.knownHosts), 0o600))
	return []string{
		"-F", "none", "-i", g.keyFile, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
		"-o", "UserKnownHostsFile=" + known, "-o", "StrictHostKeyChecking=yes", "-o", fmt.Sprintf("Port=%d", port),
	}
}

// OpenSSH's programs take our server for one of their own.
func TestOpenSSH(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"ssh", "scp"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("no " + program + "; install openssh-client")
		}
	}
	g := newGuest(t, "tcp")
	options := g.options(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*soon) // all of it takes a second or two
	defer cancel()
	start := func(stdin io.Reader, stdout io.Writer, program string, args ...string) int {
		t.Helper()
		cmd := exec.CommandContext(ctx, program, append(append([]string{}, options...), args...)...)
		var errs bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, &errs
		if err := cmd.Run(); cmd.ProcessState == nil {
			require.NoError(t, err)
		}
		t.Logf("%s %v: %s", program, args, errs.String())
		return cmd.ProcessState.ExitCode()
	}
	run := func(stdin, program string, args ...string) (int, string) {
		t.Helper()
		var out bytes.Buffer
		return start(strings.NewReader(stdin), &out, program, args...), out.String()
	}
	const host = "root@127.0.0.1"

	status, out := run("in", "ssh", host, "cat; echo; exit 5")
	assert.Equal(t, 5, status)
	assert.Equal(t, "in\n", out)
	status, out = run("echo from a shell; exit 6\n", "ssh", host) // a login shell that reads a pipe
	assert.Equal(t, 6, status)
	assert.Equal(t, "from a shell\n", out)

	// A terminal: it is one, line ends are those of a terminal, bytes of a raw
	// one pass unchanged, ^C and ^D act.
	status, out = run("", "ssh", "-tt", host, "test -t 0 && test -t 1 && tty && echo $TERM; stty raw; printf 'a\\nb\\r\\n'")
	assert.Zero(t, status)
	assert.Regexp(t, `(?s)^/dev/pts/\d+\r\n.*\r\na\nb\r\n$`, out)
	keys, typed := io.Pipe()
	status = start(keys, onFirst{func() {
		_, _ = typed.Write([]byte("\x03"))
		_ = typed.Close()
	}}, "ssh", "-tt", host, "echo up; exec sleep 1000")
	assert.NotZero(t, status)
	require.NoError(t, ctx.Err())
	status, out = run("line\n\x04", "ssh", "-tt", host, "stty -echo; cat; exit 8")
	assert.Equal(t, 8, status)
	assert.Contains(t, out, "line\r\n")

	local := filepath.Join(t.TempDir(), "local")
	require.NoError(t, os.WriteFile(local, []byte("content"), 0o640))
	status, _ = run("", "scp", "-p", local, host+":"+g.dir+"/there")
	assert.Zero(t, status)
	assert.Equal(t, map[string]string{"there": "-rw-r----- content"}, look(t, g.dir))
	status, _ = run("", "scp", host+":"+g.dir+"/there", local+"2")
	assert.Zero(t, status)
	data, err := os.ReadFile(local + "2")
	require.NoError(t, err)
	assert.Equal(t, "content", string(data))
}

// onFirst calls f when something is written. A key that is typed before there
// is a program to read it is lost.
type onFirst struct{ f func() }

func (o onFirst) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("up")) {
		go o.f()
	}
	return len(b), nil
}
