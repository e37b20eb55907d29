package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mdlayher/vsock"
)

// defaultGateway is the host's end of a Capsem VM: CID 2, port 5003.
const defaultGateway = "vsock:2:5003"

// An address says where the gateway listens.
type address struct {
	network string // "unix", "tcp" or "vsock"
	name    string // path, or host:port
	cid     uint32 // vsock
	port    uint32 // vsock
}

// parseAddress reads unix:/path, tcp:host:port or vsock:cid:port; "" is the
// default. Only what is given is dialled: tcp is never chosen by itself.
func parseAddress(s string) (address, error) {
	if s == "" {
		s = defaultGateway
	}
	bad := fmt.Errorf("%s=%q is no address; want unix:/path, tcp:127.0.0.1:port or vsock:2:5003", envGateway, s)
	network, rest, _ := strings.Cut(s, ":")
	switch network {
	case "unix":
		if rest == "" {
			return address{}, bad
		}
		return address{network: network, name: rest}, nil
	case "tcp":
		host, port, err := net.SplitHostPort(rest)
		if err != nil || host == "" || port == "" {
			return address{}, bad
		}
		return address{network: network, name: rest}, nil
	case "vsock":
		c, p, _ := strings.Cut(rest, ":")
		cid, err1 := strconv.ParseUint(c, 10, 32)
		port, err2 := strconv.ParseUint(p, 10, 32)
		if err1 != nil || err2 != nil {
			return address{}, bad
		}
		return address{network: network, cid: uint32(cid), port: uint32(port)}, nil
	}
	return address{}, bad
}

func (a address) String() string {
	if a.network == "vsock" {
		return fmt.Sprintf("vsock:%d:%d", a.cid, a.port)
	}
	return a.network + ":" + a.name
}

// A conn is a connection whose sending half can be closed alone.
type conn interface {
	net.Conn
	CloseWrite() error
}

// dial makes one attempt.
func (a address) dial(ctx context.Context) (conn, error) {
	if a.network == "vsock" {
		c, err := vsock.DialContext(ctx, a.cid, a.port, nil)
		if err != nil {
			return nil, err // not c: a nil *vsock.Conn is a non-nil interface
		}
		return c, nil
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, a.network, a.name)
	if err != nil {
		return nil, err
	}
	return c.(conn), nil // both *net.UnixConn and *net.TCPConn close by halves
}

// The pauses between attempts are Capsem's.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
)

// connect dials until it succeeds or the limit has passed; 0 means no limit.
// A gateway that is not there yet is expected, for a guest may be up before
// its host: a socket without a file is retried like a refused connection.
func connect(ctx context.Context, a address, limit time.Duration) (conn, error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	var last error
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		c, err := a.dial(ctx)
		if err == nil {
			return c, nil
		}
		if last == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			last = err // rather than one that only says that time is up
		}
		if hopeless(err) {
			return nil, fmt.Errorf("connecting to the gateway at %s: %w; %s names another", a, cause(err), envGateway)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connecting to the gateway at %s: %w (gave up after %v; %s and %s change that)",
				a, cause(last), limit, envGateway, envGatewayTimeout)
		case <-time.After(pause):
		}
	}
}

// hopeless reports errors that waiting does not mend.
func hopeless(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, errors.ErrUnsupported)
}

// cause drops the operation and the address, which the caller states.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
