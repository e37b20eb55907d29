package catalogue

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The level of concurrency is part of what is measured: c=1 and c=200 are two
// operations, at any level that a user chose.
func TestLoadLevelsAreOperations(t *testing.T) {
	for name, id := range map[string]string{
		"Load/proto=http/c=1": "load/http/1", "BenchmarkLoad/proto=http/c=200-8": "load/http/200",
		"Load/proto=dns/c=7": "load/dns/7", "Load/proto=mcp-relays/c=7/rate=50%": "load/mcp-relays/7/rate=50%", "Load/proto=http/c=10/rate=500": "load/http/10/rate=500",
	} {
		op, ok := Lookup(name)
		assert.True(t, ok, name)
		assert.Equal(t, id, op.ID)
		assert.Equal(t, id, Key(name))
		assert.Equal(t, TrimName(name), op.Name)
		byID, ok := ByID(id)
		assert.True(t, ok, id)
		assert.Equal(t, op, byID)
	}
	for _, name := range []string{"Load", "Load/proto=http", "Load/proto=ftp/c=1", "Load/proto=http/c=01", "Load/proto=http/c=0", "Load/c=1/proto=http", "Load/proto=http/c=1/x=2"} {
		_, ok := Lookup(name)
		assert.False(t, ok, name)
	}
	assert.Contains(t, Categories(), Load)
	assert.Empty(t, Select(Ops(Settings{}), Load), "it is measured where it is named")
}

func TestLoadVariables(t *testing.T) {
	modes := LoadModes()
	assert.Equal(t, "CAPSEM_BENCH_MITM_LOAD_DURATION_S", modes[0].Variable(EnvLoadSeconds))
	assert.Equal(t, "CAPSEM_BENCH_DNS_LOAD_CONCURRENCY", modes[2].Variable(EnvLoadConcurrency))
	for _, m := range modes {
		for _, env := range []string{EnvLoadSeconds, EnvLoadConcurrency} {
			_, ok := LookupSetting(m.Variable(env))
			assert.True(t, ok)
		}
	}
}
