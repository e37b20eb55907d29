package convert

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const loadText = `#capsem {"type":"run","schema":"capsem-bench.text/1","version":"0.1.0","time":1796043214.5,"seed":1,"hostname":"vm","arch":"x86_64","root":true,"rounds":1,"expected":["Load/proto=http/c=1","Load/proto=http/c=10/rate=500","Load/proto=mcp/c=7","Load/proto=mcp-list/c=7","Load/proto=dns/c=7"]}
#capsem {"type":"category","category":"load","url":"https://dead.test/","settings":{"target":"https://dead.test/","dns_name":"x.test","dns_server":"127.0.0.1:53","mcp_payload":"ping"}}
BenchmarkLoad/proto=http/c=1-2 1 2000000 ns/op 0 errors 9000000 max-ns 15728640 maxrss-B 1000000 p50-ns 3000000 p95-ns 450.0 req/s
#capsem {"type":"samples","op":"Load/proto=http/c=1","round":1,"start_ns":1796043214800834221,"elapsed_ns":2000000000,"count":900,"metrics":{"errors":0,"max-ns":9000000,"maxrss-B":15728640,"ns/op":2000000,"p50-ns":1000000,"p95-ns":3000000,"req/s":450},"answers":{"status 502":900},"concurrency":1}
#capsem {"type":"status","op":"Load/proto=http/c=1","status":"ok"}
BenchmarkLoad/proto=http/c=10/rate=500-2 1 2000000 ns/op 0 errors 9000000 max-ns 15728640 maxrss-B 1000000 p50-ns 3000000 p95-ns 500.0 req/s
#capsem {"type":"samples","op":"Load/proto=http/c=10/rate=500","round":1,"start_ns":1796043214800834221,"elapsed_ns":1000000000,"count":500,"metrics":{"errors":0,"max-ns":9000000,"maxrss-B":15728640,"ns/op":2000000,"p50-ns":1000000,"p95-ns":3000000,"req/s":500},"concurrency":10,"rate":500}
#capsem {"type":"status","op":"Load/proto=http/c=10/rate=500","status":"ok"}
BenchmarkLoad/proto=mcp/c=7-2 1 2000000 ns/op 0 errors 9000000 max-ns 15728640 maxrss-B 1000000 p50-ns 3000000 p95-ns 450.0 req/s
#capsem {"type":"samples","op":"Load/proto=mcp/c=7","round":1,"start_ns":1796043214800834221,"elapsed_ns":2000000000,"count":900,"metrics":{"errors":0,"max-ns":9000000,"maxrss-B":15728640,"ns/op":2000000,"p50-ns":1000000,"p95-ns":3000000,"req/s":450},"concurrency":7}
#capsem {"type":"status","op":"Load/proto=mcp/c=7","status":"ok"}
BenchmarkLoad/proto=mcp-list/c=7-2 1 2000000 ns/op 0 errors 9000000 max-ns 15728640 maxrss-B 1000000 p50-ns 3000000 p95-ns 450.0 req/s
#capsem {"type":"samples","op":"Load/proto=mcp-list/c=7","round":1,"start_ns":1796043214800834221,"elapsed_ns":2000000000,"count":900,"metrics":{"errors":0,"max-ns":9000000,"maxrss-B":15728640,"ns/op":2000000,"p50-ns":1000000,"p95-ns":3000000,"req/s":450},"concurrency":7}
#capsem {"type":"status","op":"Load/proto=mcp-list/c=7","status":"ok"}
BenchmarkLoad/proto=dns/c=7-2 1 2000000 ns/op 0 errors 9000000 max-ns 15728640 maxrss-B 1000000 p50-ns 3000000 p95-ns 4000000 p99-ns 5000000 p999-ns 20000 req/s
#capsem {"type":"samples","op":"Load/proto=dns/c=7","round":1,"start_ns":1796043214800834221,"elapsed_ns":1000000000,"count":20000,"metrics":{"errors":0,"max-ns":9000000,"maxrss-B":15728640,"ns/op":2000000,"p50-ns":1000000,"p95-ns":3000000,"p99-ns":4000000,"p999-ns":5000000,"req/s":20000},"answers":{"allowed":1,"denied":19999},"concurrency":7}
#capsem {"type":"status","op":"Load/proto=dns/c=7","status":"ok"}
PASS
#capsem {"type":"end","time":1796043219,"elapsed_ns":4500000000,"status":"ok"}
`

// Load has its section and, for Capsem's readers, theirs: a percentile that the
// requests do not support is null, and an open loop is no part of them.
func TestLoadSections(t *testing.T) {
	rep, err := Read(strings.NewReader(loadText), "load.txt")
	require.NoError(t, err)
	doc := written(t, rep)
	require.NoError(t, schema(t).Validate(decoded(t, doc)), string(doc))
	var got map[string]any
	require.NoError(t, json.Unmarshal(doc, &got))
	assert.Equal(t, map[string]any{"version": "1.0", "target": "https://dead.test/", "concurrency_levels": []any{map[string]any{
		"concurrency": 1.0, "duration_s": 2.0, "total_requests": 900.0, "errors": 0.0, "rps": 450.0,
		"p50_ms": 1.0, "p95_ms": 3.0, "p99_ms": nil, "p999_ms": nil, "rss_peak_mb": 15.0,
	}}}, got["mitm_load"])
	// The section is that of Capsem's mode: calls over one relay.
	assert.Equal(t, map[string]any{"version": "1.0", "tool": "local__echo", "payload_bytes": 4.0, "concurrency_levels": []any{map[string]any{
		"concurrency": 7.0, "duration_s": 2.0, "total_requests": 900.0, "errors": 0.0, "rps": 450.0,
		"p50_ms": 1.0, "p95_ms": 3.0, "p99_ms": nil, "p999_ms": nil, "rss_peak_mb": 15.0,
	}}}, got["mcp_load"])
	assert.Equal(t, map[string]any{"version": "1.0", "qname": "x.test", "qtype": 1.0, "concurrency_levels": []any{map[string]any{
		"concurrency": 7.0, "duration_s": 1.0, "total_requests": 20000.0, "errors": 0.0, "rps": 20000.0,
		"p50_ms": 1.0, "p95_ms": 3.0, "p99_ms": 4.0, "p999_ms": 5.0, "rss_peak_mb": 15.0,
		"decision_distribution": map[string]any{"allowed": 1.0, "denied": 19999.0},
	}}}, got["dns_load"])

	// Both forms of one figure are one figure to import.
	var back bytes.Buffer
	_, err = Import(&back, bytes.NewReader(doc), "load.json")
	require.NoError(t, err)
	again, err := Read(&back, "again.txt")
	require.NoError(t, err)
	for _, name := range []string{"load/http/1", "load/http/10/rate=500", "load/mcp/7", "load/mcp-list/7", "load/dns/7"} {
		require.NotNil(t, again.Find(name), name)
		assert.Equal(t, 1, again.Find(name).Rounds, name)
	}
}
