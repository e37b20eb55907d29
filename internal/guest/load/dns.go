package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// dnsTimeout is how long a query waits for its answer; resolvers ask again
// after 5 s (resolv.conf(5)).
const dnsTimeout = 5 * time.Second

// DNS sends queries for the A record of one name over a UDP socket of its own.
// An answer with rcode NOERROR counts as allowed and NXDOMAIN as denied, which
// is how Capsem's resolver refuses a name; any other is a failure.
type DNS struct {
	client dns.Client
	conn   *dns.Conn
	query  *dns.Msg
}

// DialDNS opens the socket of one worker.
func DialDNS(ctx context.Context, server, name string) (*DNS, error) {
	d := &DNS{client: dns.Client{Net: "udp", Timeout: dnsTimeout}, query: new(dns.Msg)}
	d.query.SetQuestion(dns.Fqdn(name), dns.TypeA)
	conn, err := d.client.DialContext(ctx, server)
	if err != nil {
		return nil, fmt.Errorf("resolver %s: %w", server, err)
	}
	d.conn = conn
	return d, nil
}

// Do sends a query with an id of its own, so that a late answer is not taken
// for the next one.
func (d *DNS) Do() (decision string, err error) {
	d.query.Id++
	answer, _, err := d.client.ExchangeWithConn(d.query, d.conn)
	if err != nil {
		return "", dnsError(err)
	}
	switch answer.Rcode {
	case dns.RcodeSuccess:
		return "allowed", nil
	case dns.RcodeNameError:
		return "denied", nil
	}
	return "", fmt.Errorf("rcode %s", strings.ToLower(dns.RcodeToString[answer.Rcode]))
}

// dnsError returns a reason that is fit to be counted.
func dnsError(err error) error {
	var netErr net.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return errors.New("timeout")
	case errors.Is(err, syscall.ECONNREFUSED):
		return ErrRefused
	}
	return errors.New("malformed answer")
}

// ErrRefused says that no resolver listens at the address.
var ErrRefused = errors.New("connection refused")

// Close closes the socket.
func (d *DNS) Close() { _ = d.conn.Close() }
