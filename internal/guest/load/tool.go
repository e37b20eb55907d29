package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/machine"
)

// relayMemory is what a relay of ours needs, mostly the stacks and the heap of
// a Go program; Capsem's needs less.
const relayMemory = 12 << 20

// Tool calls one tool of the gateway again and again.
type Tool struct {
	*Relay
	Name      string
	Arguments map[string]string
	Want      string // part of a right answer
}

// Do makes one call.
func (t Tool) Do() (string, error) {
	text, err := t.Call(t.Name, t.Arguments)
	if err == nil && !strings.Contains(text, t.Want) {
		err = errors.New("wrong answer")
	}
	return "", err
}

// Echo prepares calls of the gateway's echo by so many workers, which share so
// many relays. Without a relay the operation is skipped. A gateway need not list
// the tool to have it.
func Echo(ctx context.Context, payload string, workers, relays int) (Dial, error) {
	return tools(ctx, workers, relays, func(r *Relay) (Tool, error) {
		argument, listed, err := r.TextArgument(catalogue.EchoTool)
		if !listed {
			argument = "text"
		}
		return Tool{Name: catalogue.EchoTool, Arguments: map[string]string{argument: payload}, Want: payload}, err
	})
}

// List prepares calls of snapshots_list by so many workers over one relay.
func List(ctx context.Context, workers int) (Dial, error) {
	return tools(ctx, workers, 1, func(*Relay) (Tool, error) {
		return Tool{Name: "snapshots_list", Arguments: map[string]string{"format": "json"}, Want: "checkpoint"}, nil
	})
}

// tools starts the relays and calls the tool once. Workers close the relays.
func tools(ctx context.Context, workers, relays int, of func(*Relay) (Tool, error)) (Dial, error) {
	path, err := FindRelay()
	if err != nil {
		return nil, guest.SkipError(err.Error())
	}
	if free := availableMemory(); free > 0 && int64(relays)*relayMemory > free {
		return nil, guest.SkipError(fmt.Sprintf("%d relays need %d MiB of memory, %d MiB are available", relays, relays*relayMemory>>20, free>>20))
	}
	started := make([]*Relay, 0, relays)
	fail := func(err error) (Dial, error) {
		for _, r := range started {
			r.stop()
		}
		return nil, err
	}
	for i := range relays {
		r, err := StartRelay(ctx, path, workers/relays+min(1, max(0, workers%relays-i)))
		if err != nil {
			return fail(err)
		}
		started = append(started, r)
	}
	tool, err := of(started[0])
	if err != nil {
		return fail(err)
	}
	tool.Relay = started[0]
	if _, err := tool.Do(); err != nil {
		return fail(fmt.Errorf("%s: %w", tool.Name, err))
	}
	var next atomic.Int64
	return func(context.Context) (Client, error) {
		t := tool
		t.Relay = started[(next.Add(1)-1)%int64(relays)]
		return t, nil
	}, nil
}

// availableMemory is MemAvailable of proc_meminfo(5) in bytes; 0 is not known.
func availableMemory() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	available, _ := machine.Kilobytes(text, "MemAvailable:")
	return available
}
