package convert_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/capsem/capsem-bench/convert"
)

// text is what a guest printed: result lines of the Go benchmark format, and
// comment lines of ours.
const text = `#capsem {"type":"run","schema":"capsem-bench.text/1","version":"1.0.0","time":1800000000,"seed":1,"hostname":"vm","arch":"x86_64","rounds":2,"expected":["Startup/cli=python3","Startup/cli=node"]}
BenchmarkStartup/cli=python3-2 	       1	  12000000 ns/op
BenchmarkStartup/cli=python3-2 	       1	  14000000 ns/op
#capsem {"type":"status","op":"Startup/cli=python3","status":"ok"}
#capsem {"type":"status","op":"Startup/cli=node","status":"skipped","reason":"node is not in PATH"}
#capsem {"type":"end","time":1800000001,"elapsed_ns":1000000000,"status":"ok"}
`

// A report has every operation that was expected, whatever became of it.
func ExampleRead() {
	rep, err := convert.Read(strings.NewReader(text), "bench.txt")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, res := range rep.Ops {
		fmt.Printf("%s %d %s %q\n", res.Op.ID, res.Rounds, res.Status, res.Reason)
	}
	fmt.Println("complete:", rep.Complete())
	// Output:
	// startup/python3 2 ok ""
	// startup/node 0 skipped "node is not in PATH"
	// complete: true
}

// A line that cannot be read is a warning with its place, and the rest is read.
func ExampleReport_warnings() {
	rep, err := convert.Read(strings.NewReader(text+"#capsem {\"type\":\n"), "bench.txt")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, w := range rep.Warnings {
		fmt.Println(w)
	}
	// Output:
	// bench.txt:7: #capsem line: unexpected end of JSON input
}

// Capsem's result files become benchmark text, which benchstat reads too.
func ExampleImport() {
	document := `{"version":"0.3.0","timestamp":1800000000,"hostname":"vm","arch":"x86_64","startup":{"runs_per_command":1,"commands":{"python3":{"command":["python3","--version"],"runs":1,"timings_ms":[12.5],"mean_ms":12.5,"min_ms":12.5,"max_ms":12.5}}}}`
	var out bytes.Buffer
	if _, err := convert.Import(&out, strings.NewReader(document), "capsem.json"); err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "Benchmark") {
			fmt.Print(line)
		}
	}
	// Output:
	// BenchmarkStartup/cli=python3	1	12500000 ns/op	12500000 min-ns	12500000 max-ns
}

// Tables are for people, as wide as the terminal.
func ExampleWriteTables() {
	rep, err := convert.Read(strings.NewReader(text), "bench.txt")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := convert.WriteTables(os.Stdout, rep, convert.TableOptions{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// vm, x86_64
	//
	//           CLI Cold Start Latency
	// ┌─────────────┬─────────┬─────────┬───────┐
	// │ Command     │     Min │    Mean │     ± │
	// ├─────────────┼─────────┼─────────┼───────┤
	// │ python3 [1] │       - │ 13.0 ms │ ±7.7% │
	// │ node [2]    │ skipped │       - │     - │
	// └─────────────┴─────────┴─────────┴───────┘
	// [1] cold cache unverified
	// [2] skipped: node is not in PATH
	// * medians of 2 rounds, ± half the range
}
