package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/mdlayher/vsock"

	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/internal/vmconfig"
)

// gatewayAddress is where the environment says that the gateway listens; by
// default it is the host's end of a Capsem VM.
func gatewayAddress(getenv func(string) string) (contract.Address, error) {
	s := getenv(contract.EnvGateway)
	if s == "" {
		return contract.Address{Network: contract.Vsock, CID: vmconfig.HostCID, Port: vmconfig.GatewayPort}, nil
	}
	a, err := contract.ParseAddress(s)
	if err != nil {
		return a, fmt.Errorf("%s: %w", contract.EnvGateway, err)
	}
	return a, nil
}

// A conn is a connection whose sending half can be closed alone.
type conn interface {
	net.Conn
	CloseWrite() error
}

// dial makes one attempt.
func dial(ctx context.Context, a contract.Address) (conn, error) {
	if a.Network == contract.Vsock {
		c, err := vsock.DialContext(ctx, a.CID, a.Port, nil)
		if err != nil {
			return nil, err // not c: a nil *vsock.Conn is a non-nil interface
		}
		return c, nil
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, a.Network, a.Name)
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
func connect(ctx context.Context, a contract.Address, limit time.Duration) (conn, error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	var last error
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		c, err := dial(ctx, a)
		if err == nil {
			return c, nil
		}
		if last == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			last = err // rather than one that only says that time is up
		}
		if hopeless(err) {
			return nil, fmt.Errorf("connecting to the gateway at %s: %w; %s names another", a, cause(err), contract.EnvGateway)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connecting to the gateway at %s: %w (gave up after %v; %s and %s change that)",
				a, cause(last), limit, contract.EnvGateway, contract.EnvGatewayTimeout)
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
