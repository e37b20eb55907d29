package reference

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	perSecond = regexp.MustCompile(`(?m)^\s*Requests/sec:\s*([0-9.]+)$`) // wrk and hey alike
	wrkErrors = regexp.MustCompile(`(?m)^\s*(Socket errors:.*|Non-2xx.*)$`)
	heyStatus = regexp.MustCompile(`(?m)^\s*\[(\d+)\]\s+(\d+) responses$`)
)

// Wrk measures requests per second of wrk for a number of seconds: C, an
// event loop in each of two threads, and no check of certificates. wrk gives
// every thread as many connections, so an odd number of them gets one thread.
func Wrk(url string, concurrency, seconds int) Measure {
	return func(ctx context.Context) (float64, error) {
		threads := 2 - concurrency%2
		out, err := run(ctx, nil, "wrk", fmt.Sprintf("-t%d", threads), fmt.Sprintf("-c%d", concurrency), fmt.Sprintf("-d%ds", seconds), url)
		if err != nil {
			return 0, err
		}
		if bad := wrkErrors.FindString(out); bad != "" {
			return 0, fmt.Errorf("wrk: %s", strings.TrimSpace(bad))
		}
		return number(perSecond, out, "wrk")
	}
}

// HeyRate measures requests per second of hey: Go's own client, n requests, and
// no check of certificates. It sends the host with its port as the server's
// name, which is no name, unless it is given another.
func (w *Workshop) HeyRate(url string, n, concurrency int) Measure {
	return func(ctx context.Context) (float64, error) {
		out, err := run(ctx, nil, w.Path("hey"), "-host", "localhost", "-n", strconv.Itoa(n), "-c", strconv.Itoa(concurrency), url)
		if err != nil {
			return 0, err
		}
		if m := heyStatus.FindAllStringSubmatch(out, -1); len(m) != 1 || m[0][1] != "200" {
			return 0, fmt.Errorf("hey: not every answer was a success: %s", out)
		}
		return number(perSecond, out, "hey")
	}
}

func number(re *regexp.Regexp, text, tool string) (float64, error) {
	m := re.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%s said no %v: %q", tool, re, text)
	}
	return strconv.ParseFloat(m[1], 64)
}

// Curl measures bytes per second of one download with curl, from its start to
// the last byte, as curl itself takes the time.
func Curl(o *Origin, path string) Measure {
	return func(ctx context.Context) (float64, error) {
		out, err := run(ctx, nil, "curl", "-sSf", "--noproxy", "*", "--http1.1", "--cacert", o.CA, "-o", "/dev/null",
			"-w", "%{size_download} %{time_total}", o.URL+path)
		if err != nil {
			return 0, err
		}
		var bytes, seconds float64
		if _, err := fmt.Sscan(out, &bytes, &seconds); err != nil || seconds <= 0 {
			return 0, fmt.Errorf("curl said %q", out)
		}
		return bytes / seconds, nil
	}
}
