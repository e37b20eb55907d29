package convert

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// rounds30 is benchmark text of 30 operations with six units each.
func rounds30(rounds int) []byte {
	var b bytes.Buffer
	b.WriteString("goos: linux\ngoarch: amd64\npkg: example.com/x\ncpu: none\n")
	for op := range 30 {
		for r := range rounds {
			x := 1_000_000 + 7919*op + 31*r
			fmt.Fprintf(&b, "BenchmarkSnapshot/files=%d/op=create-2 \t       1\t  %d ns/op\t %d B/s\t %d iops\t %d p50-ns\t%d p95-ns\t%d p99-ns\n", op, x, x*90, x/900, x/8, x/7, x/6)
		}
	}
	return b.Bytes()
}

func BenchmarkRead(b *testing.B) {
	text := rounds30(1000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(bytes.NewReader(text), "text"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*float64(strings.Count(string(text), "\n"))/b.Elapsed().Seconds(), "lines/s")
}
