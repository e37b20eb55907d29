package catalogue

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestUnitOf(t *testing.T) {
	for _, u := range Units() {
		assert.Equal(t, u, UnitOf(u.Name))
		assert.NotEmpty(t, u.Better, u.Name)
		assert.NotEmpty(t, u.Kind, u.Name)
	}
	for _, tt := range []struct {
		name   string
		better Direction
		kind   Kind
	}{
		{"MB/s", Higher, Rate},
		{"hits/s", Higher, Rate},
		{"sec/op", Lower, Time},
		{"p50-sec", Lower, Time},
		{"p999-ns", Lower, Tail},
		{"p90-ns/op", Lower, Tail},
		{"B/op", Lower, Count},
		{"allocs/op", Lower, Count},
		{"heap-B", Lower, Count},
		{"score", "", ""},
		{"runs", "", ""},    // ends in "ns" and is no time
		{"columns", "", ""}, // the same
		{"hits", "", ""},
		{"", "", ""},
	} {
		assert.Equal(t, tt.better, UnitOf(tt.name).Better, tt.name)
		assert.Equal(t, tt.kind, UnitOf(tt.name).Kind, tt.name)
	}
}

func TestKey(t *testing.T) {
	for name, want := range map[string]string{
		"Disk/op=seq_read/size=64MiB":       "disk/seq_read",
		"HTTP/n=50/c=5":                     "http/get",
		"HTTP/n=50/c=5/url=local.tiny":      "http/get",
		"HTTP/n=50/c=5/scenario=tiny":       "HTTP/n=50/c=5/scenario=tiny",
		"Throughput/url=local.big/size=10B": "throughput/get",
		"Encode/size=3":                     "Encode/size=3",
		"Encode/url=example.org":            "Encode/url=example.org",
	} {
		assert.Equal(t, want, Key(name), name)
	}
}
