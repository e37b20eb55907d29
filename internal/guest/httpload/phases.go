package httpload

import (
	"context"
	"net/http/httptrace"
	"time"
)

// Phases are what the opening of a connection took. One that did not occur is
// 0: DNS of an address, Proxy without one, TLS of http.
type Phases struct {
	DNS     time.Duration // names to addresses
	Connect time.Duration // TCP, to the proxy where there is one
	Proxy   time.Duration // from then to the tunnel
	TLS     time.Duration // handshake with the origin, or with the proxy in its place
}

// trace has the time of DNS taken by what dials with the context.
func (p *Phases) trace(ctx context.Context) context.Context {
	var begin time.Time
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { begin = time.Now() },
		DNSDone:  func(httptrace.DNSDoneInfo) { p.DNS = time.Since(begin) },
	})
}

func (p *Phases) add(q Phases) {
	p.DNS += q.DNS
	p.Connect += q.Connect
	p.Proxy += q.Proxy
	p.TLS += q.TLS
}

// metrics adds the means over a number of connections, of phases that occurred.
func (p Phases) metrics(to map[string]float64, connections int64) {
	for unit, d := range map[string]time.Duration{"dns-ns": p.DNS, "connect-ns": p.Connect, "proxy-ns": p.Proxy, "tls-ns": p.TLS} {
		if d > 0 && connections > 0 {
			to[unit] = float64(d) / float64(connections)
		}
	}
}

// stallAfter is how long no byte of a body comes before that is a stall. A TCP
// connection that lost a segment repeats it after 200 ms at least (RFC 6298
// with Linux's minimum), which is no stall yet.
const stallAfter = 500 * time.Millisecond

// maxSeconds bounds what is kept of a long download.
const maxSeconds = 600

// A pace is how a body arrived.
type pace struct {
	start   time.Time
	seconds []int64 // bytes of each second since start
	stalls  int64
	stalled time.Duration
}

// add counts bytes that a read from begin to now brought.
func (p *pace) add(begin, now time.Time, n int) {
	if wait := now.Sub(begin); wait >= stallAfter {
		p.stalls++
		p.stalled += wait
	}
	second := min(int(now.Sub(p.start)/time.Second), maxSeconds-1)
	for len(p.seconds) <= second {
		p.seconds = append(p.seconds, 0)
	}
	p.seconds[second] += int64(n)
}
