package compare

import (
	"fmt"
	"strings"

	"github.com/capsem/capsem-bench/internal/termtext"
)

// A Repeat is a pair of boots that was measured again, and why.
type Repeat struct {
	Stage  int         `json:"stage"` // from 1
	Pair   int         `json:"pair"`  // from 1, over all stages
	Side   string      `json:"side,omitempty"`
	Cause  RepeatCause `json:"cause"`
	Reason string      `json:"reason"`
}

// A RepeatCause is why a pair was measured again.
type RepeatCause string

const (
	Crashed     RepeatCause = "crashed"     // a boot did not come to its end
	Unfit       RepeatCause = "unfit"       // the machine was unfit before or after
	Interrupted RepeatCause = "interrupted" // the trial was, between two boots of a pair
)

// repeated says how many pairs were measured again; "" where none was.
func (c *Comparison) repeated() string {
	if len(c.Repeats) == 0 {
		return ""
	}
	count := make(map[RepeatCause]int)
	for _, r := range c.Repeats {
		count[r.Cause]++
	}
	var causes []string
	for _, cause := range []RepeatCause{Crashed, Unfit, Interrupted} {
		if n := count[cause]; n > 0 {
			causes = append(causes, fmt.Sprintf("%d %s", n, cause))
		}
	}
	last := c.Repeats[len(c.Repeats)-1]
	return fmt.Sprintf("%s measured again (%s); the last: %s", termtext.Plural(len(c.Repeats), "pair"), strings.Join(causes, ", "), last.Reason)
}
