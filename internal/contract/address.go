package contract

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// The networks of an [Address].
const (
	Unix  = "unix"
	TCP   = "tcp"
	Vsock = "vsock"
)

// An Address says where a service of the host listens.
type Address struct {
	Network string // Unix, TCP or Vsock
	Name    string // of Unix the path, of TCP host:port
	CID     uint32 // of Vsock
	Port    uint32 // of Vsock
}

// ParseAddress reads unix:/path, tcp:host:port or vsock:cid:port. The network
// is never guessed: only what is named is dialled.
func ParseAddress(s string) (Address, error) {
	bad := fmt.Errorf("%q is no address; want unix:/path, tcp:127.0.0.1:port or vsock:2:port", s)
	network, rest, _ := strings.Cut(s, ":")
	switch network {
	case Unix:
		if rest == "" {
			return Address{}, bad
		}
		return Address{Network: network, Name: rest}, nil
	case TCP:
		host, port, err := net.SplitHostPort(rest)
		if err != nil || host == "" || port == "" {
			return Address{}, bad
		}
		return Address{Network: network, Name: rest}, nil
	case Vsock:
		c, p, _ := strings.Cut(rest, ":")
		cid, err1 := strconv.ParseUint(c, 10, 32)
		port, err2 := strconv.ParseUint(p, 10, 32)
		if err1 != nil || err2 != nil {
			return Address{}, bad
		}
		return Address{Network: network, CID: uint32(cid), Port: uint32(port)}, nil
	}
	return Address{}, bad
}

// String returns what [ParseAddress] reads.
func (a Address) String() string {
	if a.Network == Vsock {
		return fmt.Sprintf("%s:%d:%d", Vsock, a.CID, a.Port)
	}
	return a.Network + ":" + a.Name
}
