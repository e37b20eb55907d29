package compare_test

import (
	"fmt"
	"strings"

	"github.com/capsem/capsem-bench/compare"
)

// boot is the text of one boot: the host's boot line, which says the side and
// the place in the order, and the guest's own lines.
func boot(side string, slot int, ns float64) string {
	return fmt.Sprintf(`#capsem {"type":"boot","side":%q,"stage":1,"slot":%d,"seed":1,"time":%d}
#capsem {"type":"run","schema":"capsem-bench.text/1","version":"1.0.0","time":%[3]d,"seed":1,"hostname":"vm","arch":"x86_64","rounds":1,"expected":["Snapshot/files=10/op=create"]}
BenchmarkSnapshot/files=10/op=create-2 1 %.0[4]f ns/op
#capsem {"type":"status","op":"Snapshot/files=10/op=create","status":"ok"}
#capsem {"type":"end","time":%[3]d,"elapsed_ns":1,"status":"ok"}
`, side, slot, 1_800_000_000+slot, ns)
}

// Sixteen boots of each of two builds, in turn; the second build is 30 % slower.
func ExampleGate() {
	base, cand := &compare.Side{Name: "old"}, &compare.Side{Name: "new"}
	for i := range 16 {
		noise := 1 + 0.001*float64(i%5)
		for _, side := range []struct {
			*compare.Side
			name string
			slot int
			ns   float64
		}{{base, "base", 2*i + 1, 1e7 * noise}, {cand, "cand", 2*i + 2, 1.3e7 * noise}} {
			name := fmt.Sprintf("%s/boot-%03d.txt", side.Name, i+1)
			boots, _, err := compare.ReadBoots(strings.NewReader(boot(side.name, side.slot, side.ns)), name)
			if err != nil {
				fmt.Println(err)
				return
			}
			side.Boots = append(side.Boots, boots...)
		}
	}
	c, err := compare.Judge(base, cand, compare.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	d := compare.Gate(c)
	fmt.Println(d.Answer())
	for _, f := range d.Regressions {
		fmt.Printf("%s %s: %s\n", f.Op, f.Unit, f.Verdict)
	}
	// Output:
	// block
	// snapshot/10/create ns/op: slower
}
