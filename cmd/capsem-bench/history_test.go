package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/rogpeppe/go-internal/testscript"
)

// scriptHistory writes N runs of three boots that never ran, a day apart, into
// DIR/run-01 and so on, each in a release of its own and from the release FROM
// on slower:
//
//	fake-history DIR N FROM OP=0.3
func scriptHistory(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: fake-history DIR N FROM OP=0.3")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	from, err := strconv.Atoi(args[2])
	ts.Check(err)
	op, value, _ := strings.Cut(args[3], "=")
	slow, err := strconv.ParseFloat(value, 64)
	ts.Check(err)
	for day := 1; day <= n; day++ {
		m := boottest.New(uint64(day))
		if day >= from {
			m.Slow = map[string]float64{op: slow}
		}
		dir := ts.MkAbs(filepath.Join(args[0], fmt.Sprintf("run-%02d", day)))
		ts.Check(os.MkdirAll(dir, 0o755))
		for i := 1; i <= 3; i++ {
			b := m.Next(boottest.Cand, 1)
			b.Mark, b.Run.Time = nil, float64(time.Date(2026, 1, day, 10, i, 0, 0, time.UTC).Unix())
			b.Run.Labels = map[string]string{"release": fmt.Sprintf("1.%d", day)}
			ts.Check(os.WriteFile(filepath.Join(dir, fmt.Sprintf("boot-%03d.txt", i)), b.Text(), 0o644))
		}
	}
}
