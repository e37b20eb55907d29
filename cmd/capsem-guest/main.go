// Command capsem-guest is the guest side of the stand-in sandbox in one
// static file that acts by its name, as busybox does:
//
//	snapshots          workspace snapshots from the command line
//	capsem-mcp-server  relay between stdio and the MCP gateway on the host
//	init               as PID 1: makes the guest's system and runs guestd
//	guestd             names, relays to the host's proxy, and the SSH server
//
// Under any other name its first argument chooses: capsem-guest snapshots
// list. It keeps what Capsem's own guest programs show to the outside: the
// verbs, the arguments, the JSON, the exit statuses and the bytes on the wire.
//
// One call of snapshots is one process, one relay as its child, one connection
// and one tool call, because that chain is what the snapshot benchmarks time.
// So both programs start in a few milliseconds: nothing is read or computed
// before it is needed.
//
// Environment:
//
//	CAPSEM_GATEWAY            where the gateway listens: unix:/path,
//	                          tcp:127.0.0.1:port or vsock:cid:port;
//	                          default vsock:2:5003
//	CAPSEM_GATEWAY_TIMEOUT    how long the relay tries to connect, a Go
//	                          duration; default 30s, 0 for ever
//	CAPSEM_MCP_SERVER         the relay that snapshots runs; default
//	                          capsem-mcp-server beside snapshots, then
//	                          /run/capsem-mcp-server, then this file itself
//	CAPSEM_SNAPSHOTS_TIMEOUT  limit of one snapshots call; default 1m, 0 none
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/capsem/capsem-bench/internal/contract"
)

const mainUsage = `Usage: capsem-guest snapshots <command> [arguments]
       capsem-guest capsem-mcp-server

The file acts by its name too: link it as snapshots or capsem-mcp-server.
`

func main() {
	if os.Getpid() == 1 && filepath.Base(os.Args[0]) == "init" {
		initSystem()
	}
	os.Exit(run(context.Background(), os.Args, os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit status.
func run(ctx context.Context, argv []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(argv) == 0 {
		argv = []string{contract.GuestTools}
	}
	name, args := filepath.Base(argv[0]), argv[1:]
	if name != contract.Snapshots && name != contract.Relay && len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case contract.Snapshots:
		return snapshots(ctx, argv[0], args, getenv, stdout, stderr)
	case contract.Relay:
		return relay(ctx, getenv, stdin, stdout, stderr)
	case contract.Guestd:
		return guestd(ctx, stdin, stderr)
	case "-h", "--help", "help":
		fmt.Fprint(stdout, mainUsage)
		return 0
	}
	fmt.Fprint(stderr, mainUsage)
	return 2
}

// durationSetting reads a duration from the environment; 0 means no limit.
func durationSetting(getenv func(string) string, key string, unset time.Duration) (time.Duration, error) {
	s := getenv(key)
	if s == "" {
		return unset, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s=%q is no duration; want for example 30s, or 0 for no limit", key, s)
	}
	return d, nil
}
