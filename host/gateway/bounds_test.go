package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize"}`

// connect is a connection past its metadata line.
func (r *rig) connect() *guest {
	r.t.Helper()
	g := r.dial()
	g.send("\x00CAPSEM_META:test")
	return g
}

func TestLongLines(t *testing.T) {
	r := newRig(t, nil, nil)
	g := r.connect()
	padded := func(n int) string {
		return strings.Replace(hello, `"id"`, `"pad":"`+strings.Repeat("x", n)+`","id"`, 1)
	}
	const tooLarge = `{"jsonrpc":"2.0","error":{"code":-32600,"message":"request too large"}}`
	fits := 1<<20 - len(padded(0))
	assert.Contains(t, g.ask(padded(fits)), `"result"`)
	assert.Contains(t, g.ask("  "+padded(fits)+"\r"), `"result"`, "white space does not count")
	assert.Equal(t, tooLarge, g.ask(padded(fits+1)))
	assert.Equal(t, tooLarge, g.ask(padded(5<<20)))
	assert.Contains(t, g.ask(hello), `"result"`, "the connection lives on")
	assert.Contains(t, g.ask(strings.Repeat("[", 1<<19)+strings.Repeat("]", 1<<19)), "parse error")
	assert.Len(t, r.recorded(), 3)
}

// A guest that says nothing, or half a line, is dropped in the end.
func TestSilentGuests(t *testing.T) {
	r := newRig(t, nil, func(g *Gateway) {
		g.limits.first, g.limits.rest, g.limits.idle = 50*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond
	})
	for _, said := range []string{"", "\x00CAPSEM_META:x", "\x00CAPSEM_META:x\n", "\x00CAPSEM_META:x\n{\"jsonrpc\""} {
		g := r.dial()
		_, err := io.WriteString(g, said)
		var rest []byte
		if err == nil { // else it was dropped before, on a busy machine
			rest, err = io.ReadAll(g)
		}
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "%q", said)
		assert.Empty(t, rest)
	}
}

// A guest that does not read its answers holds up nobody else.
func TestGuestThatDoesNotRead(t *testing.T) {
	r := newRig(t, nil, func(g *Gateway) { g.limits.rest = 50 * time.Millisecond })
	g := r.connect()
	var err error
	for err == nil { // until the gateway closes; the buffers of a socket are finite
		_, err = io.WriteString(g, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`+"\n")
	}
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	assert.Contains(t, r.connect().ask(hello), `"result"`)
}

// heldCalls keeps the first call of one process from ending.
type heldCalls struct {
	Recorder
	process       string
	once          sync.Once
	entered, free chan struct{}
}

func (h *heldCalls) RecordCall(c Call) {
	if c.Process == h.process {
		h.once.Do(func() {
			close(h.entered)
			<-h.free
		})
	}
	h.Recorder.RecordCall(c)
}

// A guest whose call takes long holds up nobody else, not even with a file of
// 64 GiB that is one hole: every call of another is answered while it is not.
func TestGuestWhoseCallTakesLong(t *testing.T) {
	held := &heldCalls{process: "slow", entered: make(chan struct{}), free: make(chan struct{})}
	r := newRig(t, map[string]string{"a": "1"}, func(g *Gateway) { held.Recorder, g.cfg.Recorder = g.cfg.Recorder, held })
	r.write("sparse", "data")
	require.NoError(t, os.Truncate(filepath.Join(r.workspace, "sparse"), 64<<30))
	slow := r.dial()
	slow.send("\x00CAPSEM_META:slow")
	slow.send(callLine(1, "snapshots_create", map[string]any{"name": "slow"}))
	<-held.entered
	other := r.connect()
	for i := range 10 {
		r.write("a", fmt.Sprint("edit ", i))
		var made struct{ Checkpoint string }
		text := answerText(t, other.ask(callLine(2, "snapshots_create", map[string]any{"name": "other"})))
		require.NoError(t, json.Unmarshal([]byte(text), &made))
		r.write("a", fmt.Sprint("edited ", i))
		assert.Contains(t, answerText(t, other.ask(callLine(3, "snapshots_changes", map[string]any{"format": "json"}))), `"path":"a"`)
		assert.Contains(t, answerText(t, other.ask(callLine(4, "snapshots_list", map[string]any{"format": "json"}))), `"cp-10"`)
		assert.Contains(t, answerText(t, other.ask(callLine(5, "snapshots_history", map[string]any{"path": "sparse"}))), `"cp-10"`)
		assert.Contains(t, other.ask(callLine(6, "snapshots_delete", map[string]any{"checkpoint": made.Checkpoint})), "deleted")
	}
	assert.Len(t, r.recorded(), 50, "and none of the slow guest's")
	close(held.free)
	assert.Contains(t, answerText(t, slow.receive()), `"checkpoint":"cp-10"`)
}

func TestConnectionsWaitForRoom(t *testing.T) {
	r := newRig(t, nil, func(g *Gateway) { g.limits.conns = 2 })
	one, two, three := r.connect(), r.connect(), r.connect()
	one.ask(hello)
	two.ask(hello)
	three.send(hello)
	require.NoError(t, three.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := three.in.ReadByte()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, one.Close())
	require.NoError(t, three.SetReadDeadline(time.Now().Add(time.Minute)))
	assert.Contains(t, three.receive(), `"result"`)
}

// Requests of one connection are answered in turn, all that were sent before
// the end of what the guest says.
func TestPipelined(t *testing.T) {
	r := newRig(t, map[string]string{"a": "1"}, nil)
	g := r.connect()
	const n = 300
	go func() {
		for i := range n {
			if i%3 == 0 {
				fmt.Fprintln(g, callLine(i, "snapshots_changes", nil))
			} else {
				fmt.Fprintf(g, `{"jsonrpc":"2.0","id":%d,"method":"tools/list"}`+"\n", i)
			}
		}
		_ = g.CloseWrite()
	}()
	lines := bufio.NewScanner(g)
	lines.Buffer(nil, 1<<20)
	got := 0
	for ; lines.Scan(); got++ {
		assert.Contains(t, lines.Text(), fmt.Sprintf(`"id":%d,"result"`, got))
	}
	require.NoError(t, lines.Err())
	assert.Equal(t, n, got)
	assert.Len(t, r.recorded(), n)
}

// Many guests at once take, list and delete snapshots.
func TestManyGuests(t *testing.T) {
	r := newRig(t, map[string]string{"a": "1"}, nil)
	var guests sync.WaitGroup
	for i := range 8 {
		g := r.connect()
		guests.Go(func() {
			for range 10 {
				var made struct{ Checkpoint string }
				text := answerText(t, g.ask(callLine(i, "snapshots_create", map[string]any{"name": fmt.Sprintf("g%d", i)})))
				if !assert.NoError(t, json.Unmarshal([]byte(text), &made)) {
					return
				}
				assert.Contains(t, answerText(t, g.ask(callLine(i, "snapshots_list", map[string]any{"format": "json"}))), `"`+made.Checkpoint+`"`)
				assert.Contains(t, g.ask(callLine(i, "snapshots_delete", map[string]any{"checkpoint": made.Checkpoint})), "deleted")
			}
		})
	}
	guests.Wait()
	calls := r.recorded()
	assert.Len(t, calls, 8*10*3)
	for _, c := range calls {
		assert.Positive(t, c.Duration)
		assert.WithinDuration(t, time.Now(), c.Time, time.Minute)
	}
}

// A large answer comes whole.
func TestManyFiles(t *testing.T) {
	files := map[string]string{}
	for i := range 500 {
		files[fmt.Sprintf("dir_%d/file_%d.txt", i/50, i)] = strings.Repeat("x", 4096)
	}
	r := newRig(t, files, nil)
	g := r.connect()
	g.ask(callLine(1, "snapshots_create", map[string]any{"name": "all"}))
	for path := range files {
		r.write(path, strings.Repeat("y", 4096))
	}
	var rows []struct{ Op, Path, Checkpoint string }
	text := answerText(t, g.ask(callLine(2, "snapshots_changes", map[string]any{"format": "json"})))
	require.NoError(t, json.Unmarshal([]byte(text), &rows))
	assert.Len(t, rows, 500)
	for _, row := range rows {
		assert.Equal(t, "modified", row.Op)
		assert.Equal(t, "cp-10", row.Checkpoint)
	}
	assert.Regexp(t, `^Content length: \d+\nShowing: 0\.\.5000\nUse start_index=5000 to continue\.\n\nChanged Files`,
		answerText(t, g.ask(callLine(3, "snapshots_changes", nil))))
}

func TestAutomaticSnapshots(t *testing.T) {
	base := t.TempDir()
	workspace := filepath.Join(base, "w")
	require.NoError(t, os.Mkdir(workspace, 0o700))
	cfg := Config{Workspace: workspace, Store: filepath.Join(base, "s"), Interval: time.Millisecond, AutoMax: 2}
	g, err := New(cfg)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		l, err := g.store.List(t.Context())
		return err == nil && len(l.Snapshots) == 2
	}, time.Minute, time.Millisecond)
	_, err = New(cfg)
	require.ErrorContains(t, err, "in use by another process")
	require.NoError(t, g.Close())
	require.NoError(t, g.Close())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, g.Serve(t.Context(), ln), ErrClosed)
}

// A client that others wrote: that of the SDK, over TCP.
func TestSDKClient(t *testing.T) {
	r := newRig(t, map[string]string{"a": "1"}, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx, ln) }()
	c, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(c, "\x00CAPSEM_META:sdk\n")
	require.NoError(t, err)
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.IOTransport{Reader: c, Writer: c}, &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	require.NoError(t, err)
	assert.Equal(t, "2024-11-05", session.InitializeResult().ProtocolVersion)
	tools, err := session.ListTools(ctx, nil)
	require.NoError(t, err)
	assert.Len(t, tools.Tools, 7)
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "snapshots_create", Arguments: map[string]any{"name": "x"}})
	require.NoError(t, err)
	require.Len(t, result.Content, 1)
	_, err = session.CallTool(ctx, &mcp.CallToolParams{Name: "snapshots_create", Arguments: map[string]any{"name": "/"}})
	require.ErrorContains(t, err, "invalid name")
	// The gateway ends first, and says so by closing.
	cancel()
	require.NoError(t, <-served)
	_ = session.Close()
}

// Whatever a guest sends, every line that comes back is a JSON-RPC answer, and
// there is one for each line but those that are blank or want none.
func FuzzGuest(f *testing.F) {
	f.Add([]byte("\x00CAPSEM_META:x\n" + hello + "\n" + callLine(1, "snapshots_list", nil) + "\n"))
	f.Add([]byte("\x00CAPSEM_META:x\n{\"id\":null,\"method\":\"tools/call\",\"params\":{\"name\":\"snapshots_changes\",\"arguments\":{\"start_index\":1e300}}}\n"))
	f.Add([]byte("\n\n[]\n{}\n{\"method\":\"\"}\n{\"method\":\"initialize\",\"id\":\"\\ud800\"}\n\xff\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		r := newRig(t, map[string]string{"a": "1"}, nil)
		g := r.dial()
		go func() {
			_, _ = g.Write(said)
			_ = g.CloseWrite()
		}()
		for {
			line, err := g.in.ReadBytes('\n')
			if err == io.EOF {
				require.Empty(t, line)
				return
			}
			require.NoError(t, err)
			var m struct {
				Version string `json:"jsonrpc"`
				Result  json.RawMessage
				Error   *struct{ Code int }
			}
			require.NoError(t, json.Unmarshal(line, &m))
			require.Equal(t, "2.0", m.Version)
			require.True(t, (m.Result == nil) != (m.Error == nil), "%s", line)
		}
	})
}
