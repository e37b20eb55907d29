package main

import (
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/termtext/layout"
	"github.com/stretchr/testify/assert"
)

// Rows that are too wide for a terminal stand below each other, whole; where
// there is no terminal they are one line each.
func TestRowsFit(t *testing.T) {
	rows := [][]string{{"NAME", "PID", "DIRECTORY"}, {"dev", "4711", "/tmp/capsem-vm-dev/a/b"}, {"other", "1", "/tmp/capsem-vm-other"}}
	assert.Equal(t, "NAME   PID   DIRECTORY\ndev    4711  /tmp/capsem-vm-dev/a/b\nother  1     /tmp/capsem-vm-other\n", columns(rows, -1))
	assert.Equal(t, columns(rows, -1), columns(rows, 80))
	assert.Equal(t, "dev\n  PID 4711, DIRECTORY\n  /tmp/capsem-vm-dev/a/b\nother\n  PID 1, DIRECTORY\n  /tmp/capsem-vm-other\n", columns(rows, 30))

	checks := [][3]string{{"memory pressure", "ok", "0.0 % of the last 10 s"}, {"burn-in", "unfit", "51.0 ms a turn, repeats within 173.8 %"}}
	for width := 40; width <= 100; width++ {
		table := statesTable(checks, width)
		for l := range strings.SplitSeq(table, "\n") {
			assert.LessOrEqual(t, layout.Width(l), width, l)
		}
		words := strings.Join(strings.Fields(strings.ReplaceAll(table, "│", " ")), " ")
		assert.Contains(t, words, "repeats", "%d: %s", width, table)
		assert.Contains(t, words, "173.8 %")
	}
}
