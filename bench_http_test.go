package capsembench

import (
	"os"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/guest/httpload"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/dustin/go-humanize"
)

// BenchmarkHTTP measures requests through the proxy: N GETs of one URL over C
// kept connections.
func BenchmarkHTTP(b *testing.B) {
	settings, err := guest.Settings()
	url := fromEnv(catalogue.EnvURL, catalogue.DefaultHTTPURL)
	suite := guest.Begin(b, record.Category{
		Category: string(catalogue.HTTP), URL: httpload.PublicURL(url), Requests: settings.Requests, Concurrency: settings.Concurrency,
	})
	for _, op := range catalogue.Select(catalogue.Ops(settings), catalogue.HTTP) {
		suite.Op(op, func(p *guest.Pass) error {
			if err != nil {
				return err
			}
			client, err := httpload.New(url, 0)
			if err != nil {
				return err
			}
			r, err := client.Load(p.Context(), settings.Requests, settings.Concurrency) // measured
			if err != nil {
				return err
			}
			p.Measured(r.Samples(), r.Doubts()...)
			return r.Err()
		})
	}
}

// BenchmarkThroughput measures one download through the proxy.
func BenchmarkThroughput(b *testing.B) {
	url := fromEnv(catalogue.EnvThroughputURL, catalogue.DefaultThroughputURL)
	suite := guest.Begin(b, record.Category{Category: string(catalogue.Throughput), URL: httpload.PublicURL(url)})
	for _, op := range catalogue.Select(catalogue.Ops(catalogue.Settings{}), catalogue.Throughput) {
		suite.Op(op, func(p *guest.Pass) error {
			d, err := httpload.Fetch(p.Context(), url, 0) // measured
			p.Measured(d.Samples(err))
			if err != nil {
				return err
			}
			for _, doubt := range d.Doubts() {
				p.Doubt("%s", doubt)
			}
			if url == catalogue.DefaultThroughputURL && d.Bytes != catalogue.ThroughputBytes {
				p.Doubt("%s received; the object used to have %s", humanize.IBytes(uint64(d.Bytes)), humanize.IBytes(catalogue.ThroughputBytes))
			}
			return nil
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
