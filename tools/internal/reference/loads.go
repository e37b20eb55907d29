package reference

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// vegetaVersion is the release of vegeta that is built; it is a Go program.
const vegetaVersion = "github.com/tsenart/vegeta/v12@v12.12.0"

// Vegeta builds vegeta.
func (w *Workshop) Vegeta(ctx context.Context) error {
	_, err := run(ctx, []string{"CGO_ENABLED=0", "GOBIN=" + w.Dir, "GOFLAGS="}, "go", "install", vegetaVersion)
	return err
}

// VegetaMedian measures the median time in ns of requests of vegeta, which
// sends them on a schedule and takes as many workers as that needs. Every
// request has to succeed.
func (w *Workshop) VegetaMedian(o *Origin, path string, rate, seconds int) Measure {
	return func(ctx context.Context) (float64, error) {
		targets, results := w.Path("targets.txt"), w.Path("vegeta.bin")
		if err := os.WriteFile(targets, []byte("GET "+o.URL+path+"\n"), 0o600); err != nil {
			return 0, err
		}
		vegeta := w.Path("vegeta")
		if _, err := run(ctx, nil, vegeta, "attack", "-targets="+targets, "-root-certs="+o.CA, "-http2=false",
			fmt.Sprintf("-rate=%d/1s", rate), fmt.Sprintf("-duration=%ds", seconds), "-output="+results); err != nil {
			return 0, err
		}
		out, err := run(ctx, nil, vegeta, "report", "-type=json", results)
		if err != nil {
			return 0, err
		}
		success, err := JSONNumber(out, "success")
		if err == nil && success != 1 {
			err = fmt.Errorf("vegeta: %.1f %% of the requests failed", 100*(1-success))
		}
		if err != nil {
			return 0, err
		}
		return JSONNumber(out, "latencies", "50th")
	}
}

var (
	dnsRate = regexp.MustCompile(`(?m)^\s*Queries per second:\s*([0-9.]+)$`)
	dnsLost = regexp.MustCompile(`(?m)^\s*Queries lost:\s*([0-9]+)`)
)

// DNSPerf measures queries per second of dnsperf for one name, with a socket and
// one query in flight for each client.
func (w *Workshop) DNSPerf(address, name string, clients, seconds int) Measure {
	return func(ctx context.Context) (float64, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return 0, err
		}
		queries := w.Path("queries.txt")
		if err := os.WriteFile(queries, []byte(name+" A\n"), 0o600); err != nil {
			return 0, err
		}
		n := strconv.Itoa(clients)
		out, err := run(ctx, nil, "dnsperf", "-s", host, "-p", port, "-d", queries, "-c", n, "-q", n, "-l", strconv.Itoa(seconds))
		if err != nil {
			return 0, err
		}
		if lost, err := number(dnsLost, out, "dnsperf"); err != nil || lost > 0 {
			return 0, fmt.Errorf("dnsperf: %v queries lost: %s", lost, strings.TrimSpace(out))
		}
		return number(dnsRate, out, "dnsperf")
	}
}

// JSONNumber is the number at a path of keys in a JSON object.
func JSONNumber(text string, path ...string) (float64, error) {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return 0, err
	}
	for _, key := range path {
		object, _ := v.(map[string]any)
		v = object[key]
	}
	n, ok := v.(float64)
	if !ok {
		return 0, fmt.Errorf("no number at %s", strings.Join(path, "."))
	}
	return n, nil
}
