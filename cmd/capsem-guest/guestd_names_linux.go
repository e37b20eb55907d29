package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/capsem/capsem-bench/internal/names"
)

// nameAddress is where the relays to the proxy listen.
var nameAddress = net.IPv4(127, 0, 0, 1)

// serveNames answers DNS on loopback, over UDP and TCP.
func serveNames(ctx context.Context, g *errgroup.Group) error {
	const addr = "127.0.0.1:53"
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		_ = udp.Close()
		return err
	}
	g.Go(func() error { return names.Serve(ctx, udp, tcp, nameAddress) })
	return nil
}

// clientName names the process at the other end of a local connection, as
// Capsem's relay does: by the socket's inode in /proc/net/tcp and the process
// that has it open.
func clientName(c *net.TCPConn) string {
	addr, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return "unknown"
	}
	inode := socketInode(addr, c.LocalAddr().(*net.TCPAddr))
	if inode == "" {
		return "unknown"
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == "socket:["+inode+"]" {
			pid, err := strconv.Atoi(strings.Split(link, "/")[2])
			if err == nil {
				return processName(pid)
			}
		}
	}
	return "unknown"
}

// socketInode looks up a socket by its addresses (proc(5), /proc/net/tcp).
func socketInode(local, remote *net.TCPAddr) string {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return ""
	}
	defer f.Close()
	want := [2]string{procAddress(local), procAddress(remote)}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		fields := strings.Fields(sc.Text())
		if len(fields) > 9 && fields[1] == want[0] && fields[2] == want[1] {
			return fields[9]
		}
	}
	return ""
}

// procAddress is an IPv4 address as the kernel prints it: the word in the
// machine's byte order, which is little-endian on both architectures.
func procAddress(a *net.TCPAddr) string {
	ip := a.IP.To4()
	if ip == nil {
		return ""
	}
	return strings.ToUpper(hex.EncodeToString([]byte{ip[3], ip[2], ip[1], ip[0]})) + fmt.Sprintf(":%04X", a.Port)
}
