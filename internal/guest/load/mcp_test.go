package load

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/guest"
)

// relayScript answers the handshake and then as the body of a shell loop says,
// which has the id of each call in $id.
func relayScript(t *testing.T, body string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "relay")
	script := `#!/bin/sh
while read -r line; do
	id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
	case $line in
	*'"initialize"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{}}' ;;
	*'"tools/list"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"tools":[{"name":"local__echo","inputSchema":{"required":["message"]}}]}}' ;;
	*'"tools/call"'*) ` + body + ` ;;
	esac
done
`
	require.NoError(t, os.WriteFile(path, []byte(script), 0o700))
	t.Setenv("CAPSEM_MCP_SERVER", path)
}

const answerPing = `echo '{"jsonrpc":"2.0","id":'$id',"result":{"content":[{"type":"text","text":"ping"}]}}'`

// A call is right when the text comes back, whatever the tool calls it.
func TestEcho(t *testing.T) {
	relayScript(t, `case $line in *'"message":"ping"'*) `+answerPing+` ;; esac`)
	dial, err := Echo(t.Context(), "ping", 3, 2)
	require.NoError(t, err)
	var clients []Client
	for range 3 {
		c, err := dial(t.Context())
		require.NoError(t, err)
		clients = append(clients, c)
	}
	for range 4 {
		for _, c := range clients {
			_, err := c.Do()
			assert.NoError(t, err)
		}
	}
	first := clients[0].(Tool)
	for _, c := range clients {
		c.Close()
	}
	_, err = first.Do()
	assert.EqualError(t, err, "the relay ended")
}

// A failure has a reason that is fit to be counted.
func TestEchoFails(t *testing.T) {
	for body, want := range map[string]string{
		`echo '{"jsonrpc":"2.0","id":'$id',"error":{"code":-32602,"message":"x"}}'`:                 "local__echo: error -32602",
		`echo '{"jsonrpc":"2.0","id":'$id',"result":{"content":[{"text":"pong"}]}}'`:                "local__echo: wrong answer",
		`echo '{"jsonrpc":"2.0","id":'$id',"result":{"isError":true,"content":[{"text":"ping"}]}}'`: "local__echo: the tool failed",
		`echo '{"jsonrpc":"2.0","id":'$id',"result":[]}'`:                                           "local__echo: malformed answer",
		`exit 0`: "local__echo: the relay ended",
		`echo garbage; echo '{"method":"notifications/x"}'; echo '{"id":99,"result":{}}'; ` + answerPing + ``: "",
	} {
		t.Run(want, func(t *testing.T) {
			relayScript(t, body)
			_, err := Echo(t.Context(), "ping", 1, 1)
			if want == "" {
				assert.NoError(t, err)
				return
			}
			assert.EqualError(t, err, want)
		})
	}
}

// Without a relay the operation is skipped, and so it is if so many would not
// fit into memory.
func TestEchoSkipped(t *testing.T) {
	t.Setenv("CAPSEM_MCP_SERVER", "")
	t.Setenv("PATH", t.TempDir())
	_, err := Echo(t.Context(), "ping", 1, 1)
	require.EqualError(t, err, guest.SkipError("no capsem-mcp-server; it belongs to a Capsem guest").Error())
	relayScript(t, answerPing)
	_, err = Echo(t.Context(), "ping", 10_000_000, 10_000_000)
	assert.ErrorContains(t, err, "relays need")
}
