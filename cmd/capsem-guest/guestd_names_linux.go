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

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
)

// nameAddress is the answer to every name: the relays' listeners. Which names
// may be reached is the proxy's to say, and it sees the name in the TLS hello.
var nameAddress = net.IPv4(127, 0, 0, 1)

// nameTTL is short and not 0, so that a client that caches behaves as it
// would with a real resolver.
const nameTTL = 60

// serveNames answers DNS on loopback, over UDP and TCP.
func serveNames(ctx context.Context, g *errgroup.Group) error {
	const addr = "127.0.0.1:53"
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		_ = pc.Close()
		return err
	}
	for _, s := range []*dns.Server{{PacketConn: pc}, {Listener: ln}} {
		s.Handler = dns.HandlerFunc(answerName)
		context.AfterFunc(ctx, func() { _ = s.Shutdown() })
		g.Go(func() error {
			if err := s.ActivateAndServe(); err != nil && ctx.Err() == nil {
				return fmt.Errorf("serving names: %w", err)
			}
			return nil
		})
	}
	return nil
}

// answerName gives every name one IPv4 address and nothing else: other types
// exist without records, so that clients fall back at once.
func answerName(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	if len(q.Question) == 1 && q.Question[0].Qtype == dns.TypeA && q.Question[0].Qclass == dns.ClassINET {
		m.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: nameTTL},
			A:   nameAddress,
		}}
	}
	_ = w.WriteMsg(m)
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
