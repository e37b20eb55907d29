package compare

import (
	"fmt"
	"math"
	"testing"

	"github.com/capsem/capsem-bench/compare/boottest"
)

// BenchmarkJudge is what a comparison of 60 ops takes without the reading of
// texts. Tied boots are those of
// ops that take one of a few times.
func BenchmarkJudge(b *testing.B) {
	for _, boots := range []int{5, 6, 7, 16, 64} {
		for _, tied := range []bool{false, true} {
			b.Run(fmt.Sprintf("boots=%d/tied=%t", boots, tied), func(b *testing.B) {
				m := boottest.New(6)
				m.Ops, m.Rounds, m.Boot = boottest.ManyOps(60), 10, 0.03
				m.Slow = map[string]float64{m.Ops[7].ID: 0.2}
				if tied {
					m.Edit = coarse
				}
				base, cand := sides(b, m, boots)
				opt := Options{NoMore: IsFew([]int{boots})}
				for b.Loop() {
					c, err := Judge(base, cand, opt)
					if err != nil {
						b.Fatal(err)
					}
					if d := Gate(c); d.Status != Block {
						b.Fatal(d.Reasons)
					}
				}
			})
		}
	}
}

// coarse makes the times of a boot steps of 1 %, the same in all its rounds.
func coarse(boot *boottest.Boot) {
	for _, op := range boot.Ops {
		at := math.Exp(math.Round(100*math.Log(op.Values[0]["ns/op"])) / 100)
		for _, v := range op.Values {
			v["ns/op"] = at
		}
	}
}
