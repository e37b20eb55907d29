package guest

import (
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLoadSettings(t *testing.T) {
	names := func(ops []catalogue.Op) (out []string) {
		for _, op := range ops {
			out = append(out, op.Name)
		}
		return out
	}
	l, err := LoadSettings()
	require.NoError(t, err)
	all := names(l.OpsOf(catalogue.MITMLoad))
	assert.Equal(t, []string{"Load/proto=http/c=1", "Load/proto=http/c=10", "Load/proto=http/c=50", "Load/proto=http/c=200"}, all[:4], "Capsem's come first")
	assert.Len(t, all, 4*6)
	assert.Equal(t, 10*time.Second, l.Duration(catalogue.DNSLoad))

	t.Setenv("CAPSEM_BENCH_CONCURRENCY", "2, 4,2")
	t.Setenv("CAPSEM_BENCH_DURATION_S", "3")
	t.Setenv("CAPSEM_BENCH_DNS_LOAD_CONCURRENCY", "7")
	t.Setenv("CAPSEM_BENCH_MITM_LOAD_DURATION_S", "0.5")
	t.Setenv("CAPSEM_BENCH_RATE", "100")
	t.Setenv("CAPSEM_BENCH_MCP_LOAD_CONCURRENCY", "3")
	l, err = LoadSettings()
	require.NoError(t, err)
	assert.Equal(t, []string{
		"Load/proto=http-direct/c=4/rate=100", "Load/proto=mcp/c=3/rate=100", "Load/proto=mcp-relays/c=3/rate=100",
		"Load/proto=mcp-list/c=3/rate=100", "Load/proto=dns/c=7/rate=100",
	}, names(l.Ops())[11:])
	assert.Equal(t, 500*time.Millisecond, l.Duration(catalogue.MITMLoad))
	assert.Equal(t, 3*time.Second, l.Duration(catalogue.DNSLoad))

	for env, bad := range map[string][]string{
		"CAPSEM_BENCH_CONCURRENCY": {"0", "1,,2", "x", "10001"}, "CAPSEM_BENCH_DURATION_S": {"0", "-1", "NaN", "1e9", "x"}, "CAPSEM_BENCH_RATE": {"0", "-1", "NaN", "fast", "+Inf", "0%", "%", "50%,", "NaN%"},
	} {
		for _, value := range bad {
			t.Run(env+"="+value, func(t *testing.T) {
				t.Setenv(env, value)
				t.Setenv("CAPSEM_BENCH_MITM_LOAD_DURATION_S", "")
				t.Setenv("CAPSEM_BENCH_DNS_LOAD_CONCURRENCY", "")
				_, err := LoadSettings()
				assert.ErrorContains(t, err, env)
			})
		}
	}
}

// A share of the closed loop's rate needs the closed loop; a rate does not.
func TestLoadShares(t *testing.T) {
	t.Setenv("CAPSEM_BENCH_CONCURRENCY", "5")
	t.Setenv("CAPSEM_BENCH_RATE", "50%, 80%,50%,300")
	l, err := LoadSettings()
	require.NoError(t, err)
	var names []string
	for _, op := range l.OpsOf(catalogue.DNSLoad) {
		names = append(names, op.Name)
	}
	assert.Equal(t, []string{"Load/proto=dns/c=5", "Load/proto=dns/c=5/rate=50%", "Load/proto=dns/c=5/rate=80%", "Load/proto=dns/c=5/rate=300"}, names)
	for text, want := range map[string]float64{"50%": 600, "300": 300, "12.5%": 150} {
		rate, err := RateOf(text, 1200)
		require.NoError(t, err)
		assert.InDelta(t, want, rate, 1e-9, text)
	}
}

// Load is measured where it is named: a pattern for everything leaves it out.
func TestLoadIsNotPartOfAll(t *testing.T) {
	l, err := LoadSettings()
	require.NoError(t, err)
	ops := append(catalogue.Ops(catalogue.Settings{}), l.Ops()...)
	for pattern, want := range map[string]int{".": 0, "Benchmark": 0, "/": 0, "Load": 40, "^BenchmarkLoad$": 40, "Load/proto=mcp$": 4, "Load/proto=dns": 4, "Disk|Load/^proto=http$/c=10$": 1, "Disk": 0} {
		got := 0
		for _, name := range expected(ops, pattern, "") {
			if op, _ := catalogue.Lookup(name); op.Category == catalogue.Load {
				got++
			}
		}
		assert.Equal(t, want, got, pattern)
	}
}
