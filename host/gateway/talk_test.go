package gateway

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the conversations in testdata")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// A rig is a gateway on a socket, with what it recorded.
type rig struct {
	*Gateway
	t         *testing.T
	workspace string
	socket    string

	mu    sync.Mutex
	calls []Call
}

func (r *rig) RecordCall(c Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
}

func (r *rig) recorded() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

// newRig starts a gateway; change, if not nil, sees it before it serves.
func newRig(t *testing.T, files map[string]string, change func(*Gateway)) *rig {
	t.Helper()
	base, err := os.MkdirTemp("", "gw") // a socket's path has 104 bytes at most
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(base)) })
	r := &rig{t: t, workspace: filepath.Join(base, "w"), socket: filepath.Join(base, "s")}
	require.NoError(t, os.Mkdir(r.workspace, 0o700))
	for path, text := range files {
		r.write(path, text)
	}
	r.Gateway, err = New(Config{Workspace: r.workspace, Store: filepath.Join(base, "store"), Version: "1.2.3", Recorder: r})
	require.NoError(t, err)
	if change != nil {
		change(r.Gateway)
	}
	ln, err := net.Listen("unix", r.socket)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- r.Serve(t.Context(), ln) }()
	t.Cleanup(func() {
		assert.NoError(t, r.Close())
		assert.NoError(t, <-served)
	})
	return r
}

func (r *rig) write(path, text string) {
	r.t.Helper()
	full := filepath.Join(r.workspace, path)
	require.NoError(r.t, os.MkdirAll(filepath.Dir(full), 0o700))
	require.NoError(r.t, os.WriteFile(full, []byte(text), 0o600))
}

// A guest is the other end of a connection.
type guest struct {
	*net.UnixConn
	t  *testing.T
	in *bufio.Reader
}

func (r *rig) dial() *guest {
	r.t.Helper()
	c, err := net.Dial("unix", r.socket)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = c.Close() })
	require.NoError(r.t, c.SetDeadline(time.Now().Add(time.Minute)))
	return &guest{UnixConn: c.(*net.UnixConn), t: r.t, in: bufio.NewReader(c)}
}

func (g *guest) send(line string) {
	g.t.Helper()
	_, err := io.WriteString(g, line+"\n")
	require.NoError(g.t, err)
}

func (g *guest) receive() string {
	g.t.Helper()
	line, err := g.in.ReadString('\n')
	require.NoError(g.t, err)
	return strings.TrimSuffix(line, "\n")
}

func (g *guest) ask(line string) string {
	g.t.Helper()
	g.send(line)
	return g.receive()
}

// The conversations in testdata/talk. The files before "talk" are put into
// the workspace before the first snapshot is taken. In "talk"
//
//	>> LINE        the guest says something that has no answer
//	-> LINE        the guest says something; \0 is NUL
//	<- LINE        the answer, byte for byte
//	$ write PATH TEXT, $ rm PATH, $ ln TARGET PATH
//
// and nothing else may come before the gateway closes. "calls" are the records.
func TestTalk(t *testing.T) {
	paths, err := filepath.Glob("testdata/talk/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			require.NoError(t, err)
			files := map[string]string{}
			var talk, calls *txtar.File
			for i := range a.Files {
				switch f := &a.Files[i]; f.Name {
				case "talk":
					talk = f
				case "calls":
					calls = f
				default:
					files[f.Name] = string(f.Data)
				}
			}
			require.NotNil(t, talk)
			require.NotNil(t, calls)
			gotTalk, gotCalls := runTalk(t, files, string(talk.Data))
			if *update {
				talk.Data, calls.Data = []byte(gotTalk), []byte(gotCalls)
				require.NoError(t, os.WriteFile(path, txtar.Format(a), 0o644))
				return
			}
			assert.Equal(t, string(talk.Data), gotTalk)
			assert.Equal(t, string(calls.Data), gotCalls)
		})
	}
}

func runTalk(t *testing.T, files map[string]string, script string) (talk, calls string) {
	r := newRig(t, files, nil)
	g := r.dial()
	var out strings.Builder
	for line := range strings.Lines(script) {
		verb, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if verb == "<-" {
			continue
		}
		out.WriteString(line)
		switch verb {
		case ">>":
			g.send(strings.ReplaceAll(rest, `\0`, "\x00"))
		case "->":
			fmt.Fprintf(&out, "<- %s\n", g.ask(rest))
		case "$":
			r.shell(strings.SplitN(rest, " ", 3))
		case "#", "":
		default:
			require.Fail(t, "unknown line", line)
		}
	}
	require.NoError(t, g.CloseWrite())
	rest, err := io.ReadAll(g.in)
	require.NoError(t, err)
	assert.Empty(t, string(rest))
	return out.String(), callTable(r.recorded())
}

func (r *rig) shell(words []string) {
	r.t.Helper()
	switch words[0] {
	case "write":
		r.write(words[1], words[2]+"\n")
	case "rm":
		require.NoError(r.t, os.RemoveAll(filepath.Join(r.workspace, words[1])))
	case "ln":
		require.NoError(r.t, os.Symlink(words[1], filepath.Join(r.workspace, words[2])))
	default:
		require.Fail(r.t, "unknown command", words)
	}
}

// callTable shows the records without their times.
func callTable(calls []Call) string {
	var b strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&b, "%s %s tool=%s id=%s %s process=%s sent=%d received=%d\n", c.Server, c.Method, c.Tool, c.RequestID, c.Decision,
			c.Process, c.Sent, c.Received)
		fmt.Fprintf(&b, "\trequest %.100s\n\tresponse %.100s\n\terror %s\n", c.Request, c.Response, c.Error)
	}
	return b.String()
}

// callLine is a request that calls a tool.
func callLine(id int, tool string, arguments map[string]any) string {
	text, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": id, "method": methodCall, "params": map[string]any{"name": tool, "arguments": arguments},
	})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// answerText returns the text of a tool's answer.
func answerText(t *testing.T, line string) string {
	t.Helper()
	var m struct {
		Result struct {
			Content []struct{ Text string }
		}
		Error json.RawMessage
	}
	require.NoError(t, json.Unmarshal([]byte(line), &m))
	require.Nil(t, m.Error, line)
	require.Len(t, m.Result.Content, 1)
	return m.Result.Content[0].Text
}
