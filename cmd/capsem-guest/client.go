package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/capsem/capsem-bench/internal/bounded"
	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/internal/record"
)

// protocolVersion is the newest one that begins with initialize. A newer one
// would ask for server/discover first, which costs a round trip that no
// gateway of this kind answers.
const protocolVersion = "2025-11-25"

// fixedRelay is where a Capsem guest has the relay.
const fixedRelay = "/run/" + contract.Relay

// closeWait is how long the relay may take to end once its stdin is closed.
const closeWait = 2 * time.Second

// findRelay returns the command to run: what the environment names, else the
// relay beside this program as it was called, else Capsem's, else this file
// acting as the relay.
func findRelay(argv0 string, getenv func(string) string) (argv []string, err error) {
	if path := getenv(contract.EnvRelay); path != "" {
		if _, err := exec.LookPath(path); err != nil {
			return nil, fmt.Errorf("%s=%q: %w", contract.EnvRelay, path, err)
		}
		return []string{path}, nil
	}
	var beside string
	if called, err := exec.LookPath(argv0); err == nil {
		if called, err = filepath.Abs(called); err == nil { // else "./x" would become a name to look up
			beside = filepath.Join(filepath.Dir(called), contract.Relay)
		}
	}
	for _, path := range []string{beside, fixedRelay} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return []string{path}, nil
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w; %s names it", contract.Relay, err, contract.EnvRelay)
	}
	return []string{self, contract.Relay}, nil
}

// callTool runs the relay, makes one tool call and returns the text of its
// answer. The relay has ended when it returns.
func callTool(ctx context.Context, argv []string, limit time.Duration, call toolCall) (string, error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer from the gateway within %v; %s changes that", limit, contract.EnvSnapshotsTimeout))
		defer cancel()
	}
	// The context kills a relay that hangs: closing the session waits for it.
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second // something that the relay started may hold its stderr
	said := new(bounded.Tail)
	cmd.Stderr = said
	text, err := callThrough(ctx, cmd, call)
	switch {
	case err == nil:
		return text, nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	default:
		if wire := new(jsonrpc.Error); errors.As(err, &wire) {
			return "", errors.New(wire.Message)
		}
	}
	// What the relay said is nearer to the cause than a broken pipe.
	if line := bounded.LastLine(said.String()); line != "" {
		return "", errors.New(line)
	}
	return "", err
}

// callThrough makes the call in an MCP session of its own.
func callThrough(ctx context.Context, cmd *exec.Cmd, call toolCall) (string, error) {
	transport := &mcp.CommandTransport{Command: cmd, TerminateDuration: closeWait}
	client := mcp.NewClient(&mcp.Implementation{Name: contract.Snapshots, Version: record.ToolVersion},
		&mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{}})
	session, err := client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: protocolVersion})
	if err != nil {
		return "", err
	}
	defer session.Close()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: call.tool, Arguments: call.args})
	if err != nil {
		return "", err
	}
	return firstText(result)
}

// firstText returns the first text of a result, as an error if the result is one.
func firstText(result *mcp.CallToolResult) (string, error) {
	for _, c := range result.Content {
		t, ok := c.(*mcp.TextContent)
		switch {
		case !ok:
			continue
		case result.IsError:
			return "", errors.New(strings.TrimPrefix(t.Text, "Error: "))
		}
		return t.Text, nil
	}
	return "", errors.New("the gateway's answer has no text")
}
