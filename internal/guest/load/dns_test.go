package load

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDNS(t *testing.T) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &dns.Server{PacketConn: socket, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		rcode := dns.RcodeSuccess
		switch {
		case strings.HasPrefix(q.Question[0].Name, "denied"):
			rcode = dns.RcodeNameError
		case strings.HasPrefix(q.Question[0].Name, "broken"):
			rcode = dns.RcodeServerFailure
		}
		_ = w.WriteMsg(new(dns.Msg).SetRcode(q, rcode))
	})}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	defer func() {
		assert.NoError(t, server.Shutdown())
		assert.NoError(t, <-done)
	}()
	addr := socket.LocalAddr().String()

	for name, want := range map[string]struct{ decision, err string }{
		"allowed.test": {"allowed", ""}, "denied.test": {"denied", ""}, "broken.test": {"", "rcode servfail"},
	} {
		d, err := DialDNS(t.Context(), addr, name)
		require.NoError(t, err)
		for range 3 {
			decision, err := d.Do()
			assert.Equal(t, want.decision, decision, name)
			if want.err == "" {
				assert.NoError(t, err)
			} else {
				assert.EqualError(t, err, want.err)
			}
		}
		d.Close()
	}
	r, err := Run(t.Context(), Plan{Concurrency: 4, Duration: 50 * time.Millisecond}, func(ctx context.Context) (Client, error) { return DialDNS(ctx, addr, "denied.test") })
	require.NoError(t, err)
	assert.Positive(t, r.OK)
	assert.Equal(t, map[string]int64{"denied": r.OK}, r.Decisions)
	assert.Positive(t, r.CPU)
}

func TestDNSRefused(t *testing.T) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := socket.LocalAddr().String()
	require.NoError(t, socket.Close())
	d, err := DialDNS(t.Context(), addr, "x.test")
	require.NoError(t, err)
	defer d.Close()
	_, err = d.Do()
	assert.ErrorIs(t, err, ErrRefused)
}
