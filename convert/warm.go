package convert

import "github.com/capsem/capsem-bench/internal/record"

// warmFactor is how much slower than a warm read a cold one has to be. One that
// differs by noise alone is some percent slower; what a disk has to bring takes several times as long.
const warmFactor = 1.25

// warmDoubt says that a read that counts as cold was as fast as a warm one:
// something that was not dropped had it in memory, or the disk is not what
// limits it.
// The guest reads the same once more after each cold pass; half of the rounds
// have to be as fast for a doubt, so no single one that was held up decides.
func warmDoubt(res *Result) string {
	if res.Note.Cache == "" || res.Note.Cache == record.CacheWarm {
		return "" // not a cold operation, or said already
	}
	var slower []float64
	for _, s := range res.Samples {
		if s.WarmNS > 0 && s.ElapsedNS > 0 {
			slower = append(slower, float64(s.ElapsedNS)/float64(s.WarmNS))
		}
	}
	if len(slower) == 0 || medianFloats(slower) >= warmFactor {
		return ""
	}
	return "as fast as the same read repeated, so it says nothing of the disk"
}
