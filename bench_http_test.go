package capsembench

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/dustin/go-humanize"
)

// BenchmarkHTTP measures requests through the proxy: N GETs of one URL over C
// kept connections.
func BenchmarkHTTP(b *testing.B) {
	settings, err := guest.Settings()
	url := fromEnv(guest.EnvURL, catalogue.DefaultHTTPURL)
	suite := guest.Begin(b, record.Category{
		Category: string(catalogue.HTTP), URL: guest.PublicURL(url), Requests: settings.Requests, Concurrency: settings.Concurrency,
	})
	for _, op := range catalogue.Select(catalogue.Ops(settings), catalogue.HTTP) {
		suite.Op(op, func(ctx context.Context) (s record.Samples, st record.Status, _ error) {
			if err != nil {
				return s, st, err
			}
			client, err := guest.NewHTTPClient(url, 0)
			if err != nil {
				return s, st, err
			}
			r := client.Load(ctx, settings.Requests, settings.Concurrency)
			st.Doubts = r.Doubts()
			return r.Samples(), st, r.Err()
		})
	}
}

// BenchmarkThroughput measures one download through the proxy.
func BenchmarkThroughput(b *testing.B) {
	url := fromEnv(guest.EnvThroughputURL, catalogue.DefaultThroughputURL)
	suite := guest.Begin(b, record.Category{Category: string(catalogue.Throughput), URL: guest.PublicURL(url)})
	for _, op := range catalogue.Select(catalogue.Ops(catalogue.Settings{}), catalogue.Throughput) {
		suite.Op(op, func(ctx context.Context) (s record.Samples, st record.Status, _ error) {
			d, err := guest.Fetch(ctx, url, 0)
			if err == nil {
				st.Doubts = d.Doubts()
			}
			if err == nil && url == catalogue.DefaultThroughputURL && d.Bytes != catalogue.ThroughputBytes {
				st.Doubts = append(st.Doubts, fmt.Sprintf("%s received; the object used to have %s",
					humanize.IBytes(uint64(d.Bytes)), humanize.IBytes(catalogue.ThroughputBytes)))
			}
			return d.Samples(err), st, err
		})
	}
}

// fromEnv returns an environment variable, or def if it is empty.
func fromEnv(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}
