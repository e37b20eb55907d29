package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/internal/record"
)

const (
	// callTimeout is how long an answer may take; the relay gives up after as
	// long itself.
	callTimeout = 30 * time.Second
	// maxAnswer is the longest line of an answer.
	maxAnswer = 16 << 20
	// relayEnd is how long the relay may take to end once its stdin is closed.
	relayEnd = 2 * time.Second
)

// ErrNoRelay says that this is no Capsem guest, nor one of ours.
var ErrNoRelay = errors.New("no " + contract.Relay + "; it belongs to a Capsem guest")

// A Relay is a running MCP relay of the guest: a process that carries lines of
// JSON-RPC 2.0 (Model Context Protocol, stdio transport) to the gateway and
// back. Calls from several goroutines are under way at once; answers are
// matched to them by their ids.
type Relay struct {
	cmd *exec.Cmd
	in  io.WriteCloser

	writing sync.Mutex // of in: apart from mu, or a full pipe would stop the answers too
	mu      sync.Mutex // of the fields below
	waiting map[int64]chan<- rpcAnswer
	last    int64
	users   int
	err     error // why no answer comes any more

	ended chan struct{} // when the output has ended
}

type rpcAnswer struct {
	ID     *int64          `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code int `json:"code"`
	} `json:"error"`
}

// FindRelay returns the relay that the environment names, that a Capsem guest
// has, or that is in PATH.
func FindRelay() (string, error) {
	if path := os.Getenv(contract.EnvRelay); path != "" {
		return path, nil
	}
	for _, name := range []string{"/run/" + contract.Relay, contract.Relay} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoRelay
}

// StartRelay starts the relay and introduces itself to the gateway. The process
// is killed when ctx is done. Closing as many times as there are users ends it.
func StartRelay(ctx context.Context, path string, users int) (*Relay, error) {
	r := &Relay{cmd: exec.CommandContext(ctx, path), waiting: make(map[int64]chan<- rpcAnswer), users: users, ended: make(chan struct{})}
	r.cmd.WaitDelay = relayEnd
	var err error
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go r.read(out)
	_, err = r.Request("initialize", map[string]any{
		"protocolVersion": "2024-11-05", "capabilities": struct{}{},
		"clientInfo": map[string]string{"name": "capsem-bench", "version": record.ToolVersion},
	})
	if err == nil {
		err = r.write(map[string]any{"jsonrpc": "2.0", "method": "notifications/initialized"})
	}
	if err != nil {
		r.stop()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// read hands each answer to the call that waits for it.
func (r *Relay) read(out io.Reader) {
	defer close(r.ended)
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 64<<10), maxAnswer)
	for lines.Scan() {
		var a rpcAnswer
		if json.Unmarshal(lines.Bytes(), &a) != nil || a.ID == nil {
			continue // a notification of the gateway's, or its answer to one
		}
		a.Result = bytes.Clone(a.Result)
		r.mu.Lock()
		answer := r.waiting[*a.ID]
		delete(r.waiting, *a.ID)
		r.mu.Unlock()
		if answer != nil {
			answer <- a
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.New("the relay ended")
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		r.err = errors.New("an answer is too long")
	}
	for id, answer := range r.waiting {
		delete(r.waiting, id)
		close(answer)
	}
}

// Request sends a request and returns the result of its answer. Errors have
// texts that are fit to be counted.
func (r *Relay) Request(method string, params any) (json.RawMessage, error) {
	answer := make(chan rpcAnswer, 1)
	r.mu.Lock()
	if r.err != nil {
		r.mu.Unlock()
		return nil, r.err
	}
	r.last++
	id := r.last
	r.waiting[id] = answer
	r.mu.Unlock()
	if err := r.write(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params}); err != nil {
		return nil, err
	}
	limit := time.NewTimer(callTimeout)
	defer limit.Stop()
	select {
	case a, ok := <-answer:
		switch {
		case !ok:
			return nil, r.err // set before the channel is closed
		case a.Error != nil:
			return nil, fmt.Errorf("error %d", a.Error.Code)
		}
		return a.Result, nil
	case <-limit.C:
		r.mu.Lock()
		delete(r.waiting, id)
		r.mu.Unlock()
		return nil, errors.New("timeout")
	}
}

func (r *Relay) write(message any) error {
	line, err := json.Marshal(message)
	if err != nil {
		return err
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	if _, err := r.in.Write(append(line, '\n')); err != nil {
		return errors.New("the relay ended")
	}
	return nil
}

// Call calls a tool and returns the first text of its answer.
func (r *Relay) Call(tool string, arguments map[string]string) (string, error) {
	result, err := r.Request("tools/call", map[string]any{"name": tool, "arguments": arguments})
	if err != nil {
		return "", err
	}
	var answer struct {
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
		IsError bool `json:"isError"`
	}
	switch err := json.Unmarshal(result, &answer); {
	case err != nil || len(answer.Content) == 0:
		return "", errors.New("malformed answer")
	case answer.IsError:
		return "", errors.New("the tool failed")
	}
	return answer.Content[0].Text, nil
}

// TextArgument asks the gateway for the argument of a tool that takes a text:
// the only one that it requires. ok is false if it has no such tool.
func (r *Relay) TextArgument(tool string) (name string, ok bool, err error) {
	result, err := r.Request("tools/list", struct{}{})
	if err != nil {
		return "", false, err
	}
	var list struct {
		Tools []struct {
			Name   string `json:"name"`
			Schema struct {
				Required []string `json:"required"`
			} `json:"inputSchema"`
		} `json:"tools"`
	}
	if err := json.Unmarshal(result, &list); err != nil {
		return "", false, errors.New("malformed answer")
	}
	for _, t := range list.Tools {
		if t.Name == tool && len(t.Schema.Required) == 1 {
			return t.Schema.Required[0], true, nil
		}
	}
	return "", false, nil
}

// Close ends the relay when its last user has closed it.
func (r *Relay) Close() {
	r.mu.Lock()
	r.users--
	last := r.users == 0
	r.mu.Unlock()
	if last {
		r.stop()
	}
}

func (r *Relay) stop() {
	_ = r.in.Close()
	select {
	case <-r.ended:
	case <-time.After(relayEnd):
		_ = r.cmd.Process.Kill()
		<-r.ended
	}
	_ = r.cmd.Wait()
}
