// Package gateway stands in for the MCP gateway of a Capsem host: the tools
// that take snapshots of a guest's workspace, list and compare them, bring
// files back and delete them.
//
// The protocol is MCP as newline-delimited JSON, after one metadata line
// (NUL, "CAPSEM_META:", the name of the process, newline). Methods, names,
// arguments, results down to the order of their keys, and errors are those of
// Capsem. Requests of one connection are answered in turn.
//
// The MCP SDK has the sessions, the dispatch and the tools. Two parts make it
// answer as Capsem does: a transport, for lines, ids of any kind and errors
// without one, and a middleware, for results and error codes.
//
// Capsem's tools that fetch from the web are left out: this host has no network,
// so they could only fail.
//
// Four differences from Capsem are intended. Lists and changes as JSON are never
// cut: Capsem once cut them to 5000 bytes like the texts, and the rest was no
// JSON. A client that asks for a part with start_index or max_length gets it. A
// snapshot that lacks files of the workspace says which ("left_out", absent
// otherwise). A name that is no UTF-8 is escaped so that it can be asked for
// ([contract.EscapePath]). The method ping is answered.
//
// Like Capsem's gateway it answers every message that has a method, with or
// without an id, except notifications/initialized. JSON-RPC does not answer
// notifications. The protocol version in the answer is always Capsem's, whatever
// the client asks for.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/capsem/capsem-bench/host/internal/snapshot"
)

// The default numbers of slots.
const (
	DefaultAutoMax   = 10
	DefaultManualMax = 12
)

// Config configures a gateway.
type Config struct {
	Workspace string // directory that snapshots are taken of
	Store     string // directory for them, made if it is absent; not in the workspace
	Version   string // of the server, as initialize tells it
	Recorder  Recorder
	// AutoMax and ManualMax are the numbers of slots for automatic snapshots
	// and for those with a name; 0 is the default.
	AutoMax, ManualMax int
	// Interval is the time between automatic snapshots; 0 takes only the first,
	// that of the beginning.
	Interval time.Duration
	// Log gets messages for debugging; nil discards them.
	Log *slog.Logger
}

// limits are what a guest may take of us.
type limits struct {
	conns int           // connections served at once; more wait in the listener's queue
	line  int           // bytes of a request
	large int64         // bytes of all answers that are being made and sent
	first time.Duration // until the metadata line
	rest  time.Duration // until the end of a line that has begun; also for one write
	idle  time.Duration // between requests: an agent may stay connected for a day's work
}

func defaultLimits() limits {
	return limits{conns: 256, line: 1 << 20, large: 256 << 20, first: 30 * time.Second, rest: 30 * time.Second, idle: 12 * time.Hour}
}

// A Call is one request, reported when its answer is ready.
type Call struct {
	Time           time.Time // when the request had arrived
	Server         string    // "builtin" for tools/call, else "gateway"
	Method         string
	Tool           string        // "" for methods other than tools/call
	RequestID      string        // decimal; "" if the id is no unsigned integer
	Request        string        // compact JSON of the parameters
	Response       string        // compact JSON of the result, "" on an error
	Decision       string        // DecisionAllowed and so on
	Duration       time.Duration // from Time to the answer, waiting for other guests included
	Error          string
	Process        string // in the guest, as the metadata line says
	Sent, Received int64  // bytes of Request and Response
}

// The values of Call.Decision. Nothing is denied: there is no policy.
const (
	DecisionAllowed = "allowed"
	DecisionError   = "error"
)

// A Recorder gets the calls. Many goroutines call it, once for each request and
// before the guest has the answer, so it must not wait for a disk.
type Recorder interface{ RecordCall(Call) }

type discard struct{}

func (discard) RecordCall(Call) {}

// A Gateway serves guests. Close it when it is no longer needed.
type Gateway struct {
	cfg    Config
	limits limits
	store  *snapshot.Store
	server *mcp.Server

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	timer  sync.WaitGroup

	answers atomic.Int64 // bytes of the large answers that are not sent yet
}

// New opens the store, which no other process may have open, and takes the
// first automatic snapshot.
func New(cfg Config) (*Gateway, error) {
	if cfg.AutoMax == 0 {
		cfg.AutoMax = DefaultAutoMax
	}
	if cfg.ManualMax == 0 {
		cfg.ManualMax = DefaultManualMax
	}
	if cfg.Recorder == nil {
		cfg.Recorder = discard{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{cfg: cfg, limits: defaultLimits()}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	var err error
	g.store, err = snapshot.Open(g.ctx, snapshot.Config{
		Workspace: cfg.Workspace, Dir: cfg.Store, AutoMax: cfg.AutoMax, ManualMax: cfg.ManualMax, Log: cfg.Log,
	})
	if err != nil {
		g.cancel()
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if _, err := g.store.TakeAuto(g.ctx); err != nil {
		g.cancel()
		return nil, errors.Join(fmt.Errorf("gateway: the first snapshot: %w", err), g.store.Close())
	}
	g.server = g.newServer()
	if cfg.Interval > 0 {
		g.timer.Go(g.takeAutos)
	}
	return g, nil
}

// takeAutos takes a snapshot at every interval. One that fails is tried again
// at the next.
func (g *Gateway) takeAutos() {
	t := time.NewTicker(g.cfg.Interval)
	defer t.Stop()
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-t.C:
		}
		if _, err := g.store.TakeAuto(g.ctx); err != nil && g.ctx.Err() == nil {
			g.cfg.Log.Warn("automatic snapshot", "error", err)
		}
	}
}

// Close ends every Serve and the automatic snapshots, cancels the running
// requests and unlocks the store. The snapshots stay in it.
func (g *Gateway) Close() error {
	g.cancel()
	g.timer.Wait()
	return g.store.Close()
}

// A Forked is a copy of the workspace.
type Forked struct {
	Bytes   int64 // that its files take
	LeftOut int   // files that it lacks, which could not be read
}

// Fork copies the workspace as it is into dir, an empty directory outside of
// workspace and store, for another guest to go on with.
func (g *Gateway) Fork(ctx context.Context, dir string) (Forked, error) {
	bytes, left, err := g.store.Fork(ctx, dir)
	return Forked{Bytes: bytes, LeftOut: left.Count}, err
}
