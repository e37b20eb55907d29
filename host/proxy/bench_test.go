package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/host/upstream"
)

// The benchmarks run twice: through the proxy, and straight to the origin.
// The difference is what the proxy costs; client and origin are stock.

// straight is a client without the proxy.
func (b *bench) straight(t testing.TB) *http.Client {
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: b.directPool}, MaxIdleConnsPerHost: 64, DisableCompression: true, ReadBufferSize: 64 << 10,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, b.direct)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func fetch(c *http.Client, url string, buf []byte) (int64, error) {
	resp, err := c.Get(url)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf)
}

func BenchmarkRequests(b *testing.B) {
	for _, workers := range []int{1, 64} {
		for _, path := range []string{"proxy", "direct"} {
			b.Run(fmt.Sprintf("c=%d/path=%s", workers, path), func(b *testing.B) {
				bench := start(b, nil)
				bench.proxy.cfg.Recorder = discard{}
				c := bench.client(b)
				if path == "direct" {
					c = bench.straight(b)
				}
				work := make(chan struct{}, b.N)
				for range b.N {
					work <- struct{}{}
				}
				close(work)
				var wg sync.WaitGroup
				b.ReportAllocs()
				b.ResetTimer()
				for range workers {
					wg.Go(func() {
						buf := make([]byte, 32<<10)
						for range work {
							if _, err := fetch(c, "https://www.google.com/", buf); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
			})
		}
	}
}

func BenchmarkDownload(b *testing.B) {
	for _, path := range []string{"proxy", "direct"} {
		b.Run("path="+path, func(b *testing.B) {
			bench := start(b, nil)
			c := bench.client(b)
			if path == "direct" {
				c = bench.straight(b)
			}
			buf := make([]byte, 256<<10)
			b.SetBytes(upstream.ObjectSize)
			for b.Loop() {
				n, err := fetch(c, "https://www.google.com"+upstream.ObjectPath, buf)
				require.NoError(b, err)
				require.EqualValues(b, upstream.ObjectSize, n)
			}
		})
	}
}

func BenchmarkUpload(b *testing.B) {
	for _, path := range []string{"proxy", "direct"} {
		b.Run("path="+path, func(b *testing.B) {
			bench := start(b, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, 256<<10))
			})
			c := bench.client(b)
			if path == "direct" {
				c = bench.straight(b)
			}
			url := "https://x.example.com/"
			b.SetBytes(upstream.ObjectSize)
			for b.Loop() {
				req, err := http.NewRequest(http.MethodPost, url, io.LimitReader(zeros{}, upstream.ObjectSize))
				require.NoError(b, err)
				req.ContentLength = upstream.ObjectSize
				resp, err := c.Do(req)
				require.NoError(b, err)
				resp.Body.Close()
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
