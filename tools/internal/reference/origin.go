package reference

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"

	"github.com/capsem/capsem-bench/host/upstream"
)

// An Origin answers over TLS on loopback. Its objects are those of package
// upstream: /tiny, / and /100MB.bin.
type Origin struct {
	Name string
	URL  string // without a path: "https://127.0.0.1:1234"
	CA   string // file with the certificate of its authority
	stop func() error
}

// Close ends the origin.
func (o *Origin) Close() error { return o.stop() }

// Env is the environment in which the guest binary trusts the origin beside the
// system's authorities, and asks it without a proxy.
func (o *Origin) Env(more ...string) []string {
	return append([]string{"SSL_CERT_FILE=" + o.CA, "SSL_CERT_DIR=", "HTTPS_PROXY=", "https_proxy="}, more...)
}

// Upstream starts this repository's own origin.
func (w *Workshop) Upstream(ctx context.Context) (*Origin, error) {
	u, err := upstream.New(upstream.Config{Names: []string{"127.0.0.1", "localhost"}})
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &Origin{Name: "upstream", URL: "https://" + ln.Addr().String(), CA: w.Path("upstream-ca.pem")}
	if err := os.WriteFile(o.CA, u.CAPEM(), 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- u.Serve(ctx, ln) }()
	o.stop = func() error {
		cancel()
		return <-ended
	}
	return o, nil
}

// LoadEnv is the environment of a load of n requests by c workers.
func LoadEnv(url string, n, c int) []string {
	return []string{
		"CAPSEM_BENCH_HTTP_URL=" + url, "CAPSEM_BENCH_HTTP_N=" + strconv.Itoa(n), "CAPSEM_BENCH_HTTP_C=" + strconv.Itoa(c),
	}
}
