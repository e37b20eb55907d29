package names

import (
	"context"
	"net"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryNameHasOneAddress(t *testing.T) {
	t.Parallel()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, udp, tcp, net.IPv4(127, 0, 0, 9)) }()
	for _, network := range []string{"udp", "tcp"} {
		c := dns.Client{Net: network}
		q := new(dns.Msg).SetQuestion("www.google.com.", dns.TypeA)
		m, _, err := c.Exchange(q, udp.LocalAddr().String())
		require.NoError(t, err)
		require.Len(t, m.Answer, 1)
		assert.Equal(t, "127.0.0.9", m.Answer[0].(*dns.A).A.String())
		m, _, err = c.Exchange(new(dns.Msg).SetQuestion("www.google.com.", dns.TypeAAAA), udp.LocalAddr().String())
		require.NoError(t, err)
		assert.Equal(t, dns.RcodeSuccess, m.Rcode)
		assert.Empty(t, m.Answer)
	}
	cancel()
	require.NoError(t, <-served)
}
