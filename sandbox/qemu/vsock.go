package qemu

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mdlayher/vsock"

	"github.com/capsem/capsem-bench/internal/vmconfig"
)

// A transport is one machine's vsock as the host sees it.
type transport struct {
	kind VsockKind
	cid  uint32 // kernel's vhost-vsock
	dir  string // vhost-device-vsock: of its sockets
}

// vhostDevice is the kernel's.
const vhostDevice = "/dev/vhost-vsock"

// The sockets of vhost-device-vsock are in a directory of their own: where the
// device is another user, that one's. Names are short, as a socket's path is.
const (
	udsDir  = "s"
	udsName = "v" // what the host connects to; v_PORT is what the device does
)

// uds is where the host connects.
func (t transport) uds() string { return filepath.Join(t.dir, udsName) }

// detectVsock prefers the kernel's device.
func detectVsock() VsockKind {
	f, err := os.OpenFile(vhostDevice, os.O_RDWR, 0)
	if err != nil {
		return VhostUser
	}
	_ = f.Close()
	return VhostVsock
}

func newTransport(kind VsockKind, dir string) transport {
	return transport{kind: kind, cid: randomCID(), dir: filepath.Join(dir, udsDir)}
}

// randomCID is a context identifier for a guest: below 3 are reserved, the
// highest bit marks what never is a guest. Among two thousand million nobody
// meets by chance; QEMU ends with a message if they do.
func randomCID() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint32(b[:])>>1 | 1<<16
}

// dial connects to a port of the guest.
func (t transport) dial(ctx context.Context, port uint32) (net.Conn, error) {
	if t.kind == VhostVsock {
		c, err := vsock.DialContext(ctx, t.cid, port, nil)
		if err != nil {
			return nil, err // not c: a nil *vsock.Conn is a non-nil interface
		}
		return c, nil
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", t.uds())
	if err != nil {
		return nil, err
	}
	if err := connectPort(ctx, c, port); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// connectTimeout is how long the device may take to reach the guest: a loaded
// emulated guest answers within a second.
const connectTimeout = 30 * time.Second

// connectPort speaks the device's line protocol, which Firecracker defined
// (docs/vsock.md there): CONNECT and a port, answered by OK and a port, or by
// the end of the connection when nobody listens.
func connectPort(ctx context.Context, c net.Conn, port uint32) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = c.SetDeadline(time.Now().Add(connectTimeout))
	if _, err := fmt.Fprintf(c, "CONNECT %d\n", port); err != nil {
		return err
	}
	var line []byte
	for b := make([]byte, 1); len(line) < 32; {
		if _, err := c.Read(b); err != nil {
			return fmt.Errorf("connecting to the guest's port %d: %w", port, err)
		}
		if b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	if !strings.HasPrefix(string(line), "OK ") {
		return fmt.Errorf("connecting to the guest's port %d: the device answered %q", port, line)
	}
	return c.SetDeadline(time.Time{})
}

// listen accepts the guest's connections to a port of the host. It returns
// the port to tell the guest: with the kernel's device all machines share the
// host's ports, so a second machine gets another one.
func (t transport) listen(port uint32) (net.Listener, uint32, error) {
	if t.kind == VhostUser {
		path := fmt.Sprintf("%s_%d", t.uds(), port)
		ln, err := net.Listen("unix", path)
		if err == nil {
			err = os.Chmod(path, 0o666) // only the device and root get there
		}
		return ln, port, err
	}
	const any = 0xffffffff // VMADDR_CID_ANY and VMADDR_PORT_ANY (vsock(7))
	ln, err := vsock.ListenContextID(any, port, nil)
	if err != nil {
		ln, err = vsock.ListenContextID(any, any, nil)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("listening on vsock: %w", err)
	}
	addr, ok := ln.Addr().(*vsock.Addr)
	if !ok {
		return nil, 0, errors.New("listening on vsock: no address")
	}
	return &guestListener{ln, t.cid}, addr.Port, nil
}

// A guestListener accepts from one guest only.
type guestListener struct {
	net.Listener
	cid uint32
}

func (l *guestListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if a, ok := c.RemoteAddr().(*vsock.Addr); ok && a.ContextID == l.cid {
			return c, nil
		}
		_ = c.Close()
	}
}

// hostPorts are the ports of the host that a guest calls.
func hostPorts() []uint32 {
	return []uint32{vmconfig.ProxyPort, vmconfig.GatewayPort, vmconfig.CachesPort}
}
