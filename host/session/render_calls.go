package session

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/internal/termtext"
)

// requests writes where the time of requests went, by operation.
func (r *renderer) requests(splits []RequestSplit) {
	var rows [][]string
	for _, s := range splits {
		if s.Rounds > 0 {
			rows = append(rows, []string{
				termtext.Cell(s.Op), strconv.FormatInt(s.Requests, 10), millis(&s.Client.Mean), millis(&s.Proxy.Mean),
				percent(s.Proxy.Mean, s.Client.Mean), millis(&s.OutsideMS), millis(&s.Client.P95), millis(&s.Proxy.P95),
			})
		}
	}
	if len(rows) > 0 {
		r.block("Requests, mean ms and 95th percentiles:", []string{"op", "requests", "total", "proxy", "share", "outside", "p95", "proxy_p95"}, 1, rows)
		r.line(indent, "proxy: from the arrival of a request there to the end of its answer, with the origin's time; outside: the guest, TLS and the way between")
		r.out.WriteByte('\n')
	}
	for _, s := range splits {
		for _, reason := range s.Unmatched {
			r.line("", fmt.Sprintf("A round of %s is left out: %s", termtext.Cell(s.Op), termtext.Cell(reason)))
		}
		if len(s.Unmatched) > 0 {
			r.out.WriteByte('\n')
		}
	}
}

// requestSentences say where the time of each operation's requests went.
func requestSentences(splits []RequestSplit) (out []string) {
	for _, s := range splits {
		if s.Rounds > 0 {
			out = append(out, fmt.Sprintf("A request of %s takes %s ms, of which %s ms are at the proxy and its origin.",
				termtext.Cell(s.Op), millis(&s.Client.Mean), millis(&s.Proxy.Mean)))
		}
	}
	return out
}

func (r *renderer) percentiles(list []Percentile) {
	if len(list) == 0 {
		return
	}
	var rows [][]string
	for _, p := range list {
		rows = append(rows, []string{
			termtext.Cell(shortOp(p.What)), p.Side, strconv.Itoa(p.Calls), millis(&p.P50), millis(&p.P95), millis(&p.P99), millis(&p.Max),
		})
	}
	r.block("Percentiles, ms:", []string{"what", "side", "calls", "p50", "p95", "p99", "max"}, 2, rows)
}

// calls writes every call. The client's time is there for snapshot calls alone:
// of requests neither side knows which of the other's is the same.
func (r *renderer) calls(list []Call) {
	if len(list) == 0 {
		return
	}
	var rows [][]string
	for _, c := range list {
		rows = append(rows, []string{
			termtext.Cell(c.What), c.At.UTC().Format("15:04:05.000"), termtext.Cell(c.Decision), termtext.Cell(strings.TrimPrefix(shortOp(c.Op), "files=")),
			millis(c.HostMS), millis(c.ClientMS),
		})
	}
	r.block("Single calls, ms:", []string{"what", "at (UTC)", "decision", "op", "host", "client"}, 4, rows)
}
