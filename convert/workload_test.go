package convert

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A text of before descriptors were kept, one of now, and an imported document
// of Capsem's tool, which has always kept them.
func TestWorkloadTellsHowFilesAreOpened(t *testing.T) {
	const run = `#capsem {"type":"run","schema":"capsem-bench.text/1","version":"0.1.0","time":1,"seed":1,"hostname":"h","arch":"x86_64","root":true,"rounds":1,"expected":["Rootfs/op=rand_read_4k/count=5000"]SOURCE}
`
	const line = "BenchmarkRootfs/op=rand_read_4k/count=5000 	 1 	 70000 ns/op 	 58000000 B/s 	 14000 iops"
	workload := func(source, more string) (Workload, string) {
		text := strings.Replace(run, "SOURCE", source, 1) + line + more + "\n"
		rep, err := Read(strings.NewReader(text), "x.txt")
		require.NoError(t, err)
		require.Len(t, rep.Ops, 1)
		return rep.Workload(rep.Ops[0]), rep.workload()[0].value.(string)
	}
	old, oldPrint := workload("", "")
	now, nowPrint := workload("", " 	 9000 open-p50-ns 	 21000 open-p95-ns")
	capsem, capsemPrint := workload(`,"source":"capsem json 0.3.0"`, "")
	assert.Equal(t, opensEach, old.Opens)
	assert.Equal(t, opensFirst, now.Opens)
	assert.Equal(t, now, capsem)
	assert.NotEqual(t, oldPrint, nowPrint)
	assert.Equal(t, nowPrint, capsemPrint)
}
