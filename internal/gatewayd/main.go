// Command gatewayd serves the gateway by itself, for trying out MCP clients
// and the snapshots command without a sandbox. Requests go to stderr, one line
// each. It ends on SIGINT and SIGTERM.
//
//	gatewayd -workspace DIR -store DIR -socket PATH
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/capsem/capsem-bench/host/gateway"
	"github.com/capsem/capsem-bench/internal/record"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("gatewayd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	cfg := gateway.Config{Version: record.ToolVersion, Recorder: &printer{w: stderr}}
	flags.StringVar(&cfg.Workspace, "workspace", "", "directory that snapshots are taken of")
	flags.StringVar(&cfg.Store, "store", "", "directory that snapshots are kept in")
	flags.DurationVar(&cfg.Interval, "interval", 0, "time between automatic snapshots; 0 takes only the first")
	socket := flags.String("socket", "", "Unix socket to listen on")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if cfg.Workspace == "" || cfg.Store == "" || *socket == "" || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "gatewayd: want -workspace DIR -store DIR -socket PATH")
		return 2
	}
	if err := serve(ctx, cfg, *socket); err != nil {
		fmt.Fprintln(stderr, "gatewayd:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, cfg gateway.Config, socket string) error {
	g, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	defer g.Close()
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return g.Serve(ctx, ln)
}

// A printer prints a line for each call.
type printer struct {
	mu sync.Mutex
	w  io.Writer
}

func (p *printer) RecordCall(c gateway.Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "%s %s %s %s %v %s\n", c.Process, c.Method, c.Tool, c.Decision, c.Duration, c.Error)
}
