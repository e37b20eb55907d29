// Package names answers DNS for a guest, which has no network: every name has
// one address, behind which the proxy's relays listen. The proxy decides which
// names may be reached: it reads the name in the TLS ClientHello.
package names

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/miekg/dns"
)

// ttl is in seconds: short, and not 0, so that a client that caches behaves as
// it would with a real resolver.
const ttl = 60

// Serve answers over UDP and TCP (RFC 1035) until ctx ends, and returns nil
// then. It closes both.
func Serve(ctx context.Context, udp net.PacketConn, tcp net.Listener, address net.IP) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { _ = w.WriteMsg(answer(q, address)) })
	servers := []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}}
	errs := make([]error, len(servers))
	var running sync.WaitGroup
	for i, s := range servers {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		running.Go(func() {
			defer cancel()
			if err := s.ActivateAndServe(); err != nil && ctx.Err() == nil {
				errs[i] = fmt.Errorf("serving names: %w", err)
			}
		})
		running.Go(func() {
			<-ctx.Done()
			select {
			case <-started: // else Shutdown does nothing
				_ = s.Shutdown()
			default:
				_ = errors.Join(udp.Close(), tcp.Close())
			}
		})
	}
	running.Wait()
	_ = errors.Join(udp.Close(), tcp.Close())
	return errors.Join(errs...)
}

// answer gives every name one IPv4 address and nothing else: other types exist
// without records, so that clients fall back at once.
func answer(q *dns.Msg, address net.IP) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	if len(q.Question) == 1 && q.Question[0].Qtype == dns.TypeA && q.Question[0].Qclass == dns.ClassINET {
		m.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: ttl}, A: address,
		}}
	}
	return m
}
