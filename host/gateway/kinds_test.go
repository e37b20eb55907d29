package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/contract"
)

// textOf returns the text of an answer to tools/call.
func textOf(t *testing.T, line string) string {
	t.Helper()
	var m struct {
		Result struct {
			Content []struct{ Text string }
		}
		Error json.RawMessage
	}
	require.NoError(t, json.Unmarshal([]byte(line), &m), line)
	require.Len(t, m.Result.Content, 1, line)
	return m.Result.Content[0].Text
}

func (r *rig) talk() *guest {
	g := r.dial()
	g.send("\x00CAPSEM_META:test")
	return g
}

// Lossy encoding used as an identifier: names that are no UTF-8 are distinguished
// in every answer, and the name in an answer brings the file back.
func TestNamesThatAreNoUTF8(t *testing.T) {
	r := newRig(t, nil, nil)
	names := []string{"caf\xe9.txt", "caf\xe8.txt", `caf\xe9.txt`, "café.txt", "a\x1b[31m\nb", "\xff"}
	for _, name := range names {
		r.write(name, "one")
	}
	g := r.talk()
	textOf(t, g.ask(callLine(1, "snapshots_create", map[string]any{"name": "s"})))
	for _, name := range names {
		r.write(name, "two")
	}
	var rows []struct{ Path, Op string }
	require.NoError(t, json.Unmarshal([]byte(textOf(t, g.ask(callLine(2, "snapshots_changes", map[string]any{"format": "json"})))), &rows))
	require.Len(t, rows, len(names))
	table := textOf(t, g.ask(callLine(3, "snapshots_changes", nil)))
	assert.NotContains(t, table, "\x1b")
	var found []string
	for _, row := range rows {
		found = append(found, contract.UnescapePath(row.Path))
		assert.Contains(t, table, contract.VisiblePath(contract.UnescapePath(row.Path))+"  ")
		answer := textOf(t, g.ask(callLine(4, "snapshots_revert", map[string]any{"path": row.Path, "checkpoint": "cp-10"})))
		assert.Contains(t, answer, `"action":"restored"`)
	}
	assert.ElementsMatch(t, names, found)
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(r.workspace, name))
		require.NoError(t, err)
		assert.Equal(t, "one", string(text), "%q", name)
	}
}

// What a guest asked for ends with its connection, and not with the end of what
// it has to say.
func TestRequestEndsWithItsConnection(t *testing.T) {
	r := newRig(t, nil, nil)
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	defer ln.Close()
	near, err := net.Dial("unix", ln.Addr().String())
	require.NoError(t, err)
	far, err := ln.Accept()
	require.NoError(t, err)
	c := newConn(r.Gateway, far)
	defer c.Close()
	_, err = c.begin(&request{method: methodCall, done: make(chan struct{})})
	require.NoError(t, err)
	require.NoError(t, near.(*net.UnixConn).CloseWrite())
	assert.Never(t, func() bool { return c.ctx.Err() != nil }, 3*watchEvery, watchEvery/2)
	require.NoError(t, near.Close())
	assert.Eventually(t, func() bool { return c.ctx.Err() != nil }, time.Minute, time.Millisecond)
	require.ErrorIs(t, context.Cause(c.ctx), errGone)
}

// A guest sends everything, ends its side and reads all answers.
func TestHalfClosedConnectionIsAnswered(t *testing.T) {
	r := newRig(t, map[string]string{"a": strings.Repeat("x", 1<<20)}, nil)
	g := r.talk()
	for i := range 20 {
		g.send(callLine(2*i, "snapshots_create", map[string]any{"name": "s"}))
		g.send(callLine(2*i+1, "snapshots_delete", map[string]any{"checkpoint": fmt.Sprintf("cp-%d", 10+i%12)}))
	}
	require.NoError(t, g.CloseWrite())
	for i := range 40 {
		assert.Contains(t, g.receive(), fmt.Sprintf(`"id":%d,"result"`, i))
	}
}

// A line that is no UTF-8 is no JSON: its id would make the answer none either.
func TestLinesThatAreNoUTF8(t *testing.T) {
	r := newRig(t, nil, nil)
	g := r.talk()
	for _, line := range []string{"{\"id\":\"\xff\",\"method\":\"ping\"}", "{\"id\":1,\"method\":\"p\xff\"}"} {
		g.send(line)
		assert.JSONEq(t, `{"jsonrpc":"2.0","error":{"code":-32700,"message":"parse error"}}`, g.receive())
	}
}

// Guest to host: answers that are being made and sent are bounded together.
func TestGuestCannotAskForTooMuchAtOnce(t *testing.T) {
	files := map[string]string{}
	for i := range 50 {
		files[fmt.Sprintf("f%d", i)] = "x"
	}
	r := newRig(t, files, func(g *Gateway) { g.limits.large = 10_000 })
	g := r.talk()
	assert.Contains(t, g.ask(callLine(1, "snapshots_list", nil)), "workspace too large: the answer would not fit")
	assert.NotContains(t, g.ask(callLine(2, "snapshots_changes", nil)), "error")
	assert.Zero(t, r.answers.Load(), "what is sent counts no more")
	r.answers.Store(10_000)
	r.write("f0", "edited")
	assert.Contains(t, g.ask(callLine(3, "snapshots_changes", nil)), "too many large answers at a time")
}
