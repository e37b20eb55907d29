package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/host/gateway"
	"github.com/capsem/capsem-bench/internal/contract"
)

// The test binary is the programs too, by name; snapshots runs it as its relay.
func TestMain(m *testing.M) {
	program := func() { main() }
	testscript.Main(m, map[string]func(){contract.Snapshots: program, contract.Relay: program, "capsem-guest": program})
}

// The scripts run with a gateway over $WORK/workspace at CAPSEM_GATEWAY.
func TestScripts(t *testing.T) {
	faulty := func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Setenv(contract.EnvGateway, fakeGateway(t, faults[args[0]]))
	}
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Cmds: map[string]func(*testscript.TestScript, bool, []string){"faulty": faulty}, Setup: func(e *testscript.Env) error {
		base, err := os.MkdirTemp("", "cg") // a socket's path has 104 bytes at most
		if err != nil {
			return err
		}
		e.Defer(func() { _ = os.RemoveAll(base) })
		workspace := filepath.Join(e.WorkDir, "workspace")
		if err := os.MkdirAll(workspace, 0o700); err != nil {
			return err
		}
		g, err := gateway.New(gateway.Config{Workspace: workspace, Store: filepath.Join(base, "store"), Version: "1"})
		if err != nil {
			return err
		}
		ln, err := net.Listen("unix", filepath.Join(base, "s"))
		if err != nil {
			return err
		}
		go func() { _ = g.Serve(context.Background(), ln) }()
		e.Defer(func() { _ = g.Close() })
		e.Setenv(contract.EnvGateway, "unix:"+filepath.Join(base, "s"))
		return nil
	}})
}

// handshake answers initialize and reads on until the call has come.
func handshake(c net.Conn, in *bufio.Reader) {
	_, _ = in.ReadString('\n')
	_, _ = io.WriteString(c, `{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"tools":{}},"protocolVersion":"2024-11-05","serverInfo":{"name":"x","version":"1"}}}`+"\n")
	_, _ = in.ReadString('\n') // initialized
	_, _ = in.ReadString('\n') // tools/call
}

func textAnswer(text string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, in *bufio.Reader) {
		handshake(c, in)
		_, _ = io.WriteString(c, `{"jsonrpc":"2.0","id":2,"result":{"content":[{"text":"`+text+`","type":"text"}]}}`+"\n")
		_, _ = io.Copy(io.Discard, in)
	}
}

// faults are gateways that end or answer wrongly; each is used by a script.
var faults = map[string]func(net.Conn, *bufio.Reader){
	"dies":   handshake,
	"cut":    textAnswer(`Content length: 15312\nShowing: 0..5000\nUse start_index=5000 to continue.\n\n[{`),
	"broken": textAnswer(`[{`),
	"words":  textAnswer(`No checkpoints available yet.`),
	"empty": func(c net.Conn, in *bufio.Reader) {
		handshake(c, in)
		_, _ = io.WriteString(c, `{"jsonrpc":"2.0","id":2,"result":{"content":[]}}`+"\n")
		_, _ = io.Copy(io.Discard, in)
	},
}

// fakeGateway answers the first line after the metadata with f.
func fakeGateway(t *testing.T, f func(c net.Conn, in *bufio.Reader)) string {
	t.Helper()
	base, err := os.MkdirTemp("", "cg")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	ln, err := net.Listen("unix", filepath.Join(base, "s"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				if line, _ := in.ReadString('\n'); strings.HasPrefix(line, "\x00CAPSEM_META:") {
					f(c, in)
				}
			}()
		}
	}()
	return "unix:" + filepath.Join(base, "s")
}

// runGuest runs a program by its name in this process.
func runGuest(stdin string, env map[string]string, argv ...string) (status int, stdout, stderr string) {
	var out, errs strings.Builder
	status = run(context.Background(), argv, func(key string) string { return env[key] }, strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`

func TestRelay(t *testing.T) {
	answer := func(c net.Conn, in *bufio.Reader) {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if strings.TrimSpace(line) != "" && strings.Contains(line, `"id"`) {
				_, _ = io.WriteString(c, `{"jsonrpc":"2.0","id":1,"result":{}}`+"\n")
			}
		}
	}
	reply := `{"jsonrpc":"2.0","id":1,"result":{}}` + "\n"
	for _, tt := range []struct {
		name, stdin string
		gateway     func(net.Conn, *bufio.Reader)
		status      int
		stdout      string
		stderr      string
	}{
		{"answers until the end", ping + "\n" + ping + "\n", answer, 0, reply + reply, ""},
		{"last line without its end", ping, answer, 0, reply, ""},
		{"nothing to say", "", answer, 0, "", ""},
		{"notification", `{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n", answer, 0, "", ""},
		{"closed instead of an answer", ping + "\n", func(_ net.Conn, in *bufio.Reader) { _, _ = in.ReadString('\n') }, 1, "", "unanswered requests: 1"},
		{"half an answer", ping + "\n", func(c net.Conn, in *bufio.Reader) {
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(c, `{"jsonrpc"`)
		}, 1, `{"jsonrpc"`, "in the middle of a reply"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := map[string]string{contract.EnvGateway: fakeGateway(t, tt.gateway)}
			status, stdout, stderr := runGuest(tt.stdin, env, contract.Relay)
			assert.Equal(t, tt.status, status, stderr)
			assert.Equal(t, tt.stdout, stdout)
			assert.Contains(t, stderr, tt.stderr)
		})
	}
}

func TestSilentGateway(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	go func() { _, _ = io.Copy(io.Discard, b) }()
	s := &session{conn: pipeConn{a}, timeout: 50 * time.Millisecond}
	require.EqualError(t, s.run("test", strings.NewReader(ping+"\n"), io.Discard), "no answer within 50ms")
}

// pipeConn is a pipe whose halves cannot be closed alone.
type pipeConn struct{ net.Conn }

func (pipeConn) CloseWrite() error { return nil }

// The relay waits for a gateway that comes later, and not for ever.
func TestConnectRetries(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	a, err := contract.ParseAddress("unix:" + path)
	require.NoError(t, err)
	_, err = connect(t.Context(), a, 150*time.Millisecond)
	require.ErrorContains(t, err, "gave up after 150ms")
	late := time.AfterFunc(120*time.Millisecond, func() { // past the first attempt
		ln, err := net.Listen("unix", path)
		if err == nil {
			t.Cleanup(func() { _ = ln.Close() })
		}
	})
	defer late.Stop()
	c, err := connect(t.Context(), a, time.Minute)
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

func TestGatewayAddress(t *testing.T) {
	for in, want := range map[string]string{
		"": "vsock:2:5003", "unix:/run/x": "unix:/run/x", "tcp:127.0.0.1:80": "tcp:127.0.0.1:80", "vsock:3:1": "vsock:3:1",
	} {
		a, err := gatewayAddress(func(string) string { return in })
		require.NoError(t, err, in)
		assert.Equal(t, want, a.String())
	}
	for _, in := range []string{"unix:", "tcp:", "tcp::80", "vsock:2", "vsock:a:b", "http://x", "/run/x"} {
		_, err := gatewayAddress(func(string) string { return in })
		assert.ErrorContains(t, err, contract.EnvGateway, in)
	}
}

func TestCutAndBrokenAnswers(t *testing.T) {
	assert.Equal(t, "bytes 0 to 5000 of 15312", cutNotice("Content length: 15312\nShowing: 0..5000\nUse start_index=5000 to continue.\n\n[{"))
	assert.Empty(t, cutNotice("[]"))
	_, err := renderJSON(`[{"path"`)
	require.ErrorContains(t, err, "not valid JSON")
	text, err := renderJSON("No checkpoints available yet.")
	require.NoError(t, err)
	assert.Equal(t, "\"No checkpoints available yet.\"\n", text)
	assert.Equal(t, "a\\x1b[31mb\n", renderText(toolCall{verb: "list"}, "a\x1b[31mb\n"))
	assert.Equal(t, "un_known", cleanName("un\nknown"))
	assert.Equal(t, "unknown", cleanName(" "))
}
