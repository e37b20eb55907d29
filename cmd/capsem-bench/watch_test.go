package main

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The progress line says which operation of how many, which round, and the time
// that is left where every operation ahead has been measured before.
func TestWatchSaysHowFar(t *testing.T) {
	t.Parallel()
	p := newProgress(newTerm(io.Discard), true)
	defer p.Close()
	w := &watch{p: p, took: durations{"A": 10, "B": 20, "C": 30, "D": 40}}
	say := func(format string, args ...any) string {
		fmt.Fprintf(w, "#capsem "+format+"\n", args...)
		return p.what
	}
	say(`{"type":"run","rounds":3,"expected":["A","B","C"]}`)
	assert.Equal(t, "A, op 1/3, round 1/3, 1m0s left", say(`{"type":"start","op":"A"}`))
	assert.Equal(t, "A, op 1/3, round 2/3, 1m0s left", say(`{"type":"samples","op":"A","round":1,"elapsed_ns":1}`))
	assert.Equal(t, "A, op 1/3, round 3/3, 1m0s left", say(`{"type":"samples","op":"A","round":2,"elapsed_ns":1}`))
	say(`{"type":"samples","op":"A","round":3,"elapsed_ns":1}`)
	assert.Empty(t, say(`{"type":"status","op":"A","status":"ok"}`))
	w.took["A"], w.took["C"] = 10, 0
	assert.Equal(t, "B, op 2/3, round 1/3", say(`{"type":"start","op":"B"}`), "how long C takes is not known")
	say(`{"type":"status","op":"B","status":"skipped"}`)
	assert.Equal(t, "C, op 3/3, round 1/3", say(`{"type":"start","op":"C"}`))

	say(`{"type":"run","rounds":1,"expected":["D"]}`)
	assert.Equal(t, "D, 40s left", say(`{"type":"start","op":"D"}`), "one operation, one round")
	say(`{"type":"run","rounds":1,"expected":["%s"]}`, strings.Repeat("x", 9))
	assert.Equal(t, "E, op 1/2", say(`{"type":"start","op":"E"}`), "an operation that was not announced")
}
