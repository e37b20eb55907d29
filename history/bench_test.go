package history

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/capsem/capsem-bench/compare/boottest"
)

// storeSize is how many runs a store has before it is measured:
// HISTORY_RUNS=10000 for the published figures.
func storeSize() int {
	if n, err := strconv.Atoi(os.Getenv("HISTORY_RUNS")); err == nil {
		return n
	}
	return 100
}

// big makes a store of runs of one boot with 60 ops of two metrics and 10
// rounds: 1,200 values a run, 12 million in 10,000.
func big(b *testing.B, where string, n int) (*Store, func(i int) Run) {
	b.Helper()
	s, err := Open(b.Context(), where)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	next := func(i int) Run {
		m := boottest.New(uint64(i))
		m.Ops, m.Rounds = boottest.ManyOps(60), 10
		for i := range m.Ops {
			m.Ops[i].Units = []string{"ns/op", "B/s"}
		}
		boot := m.Next(boottest.Cand, 1)
		boot.Mark, boot.Run.Time = nil, 1.7e9+3600*float64(i)
		run, err := Read(fmt.Sprint("run", i), Labels{"release": fmt.Sprint("1.", i)}, []Document{{"bench.txt", boot.Text()}})
		if err != nil {
			b.Fatal(err)
		}
		return run
	}
	for i := range n {
		if _, _, err := s.Add(b.Context(), next(i)); err != nil {
			b.Fatal(err)
		}
	}
	return s, next
}

func eachBigStore(b *testing.B, f func(b *testing.B, s *Store, next func(int) Run)) {
	n := storeSize()
	b.Run(fmt.Sprintf("store=SQLite/runs=%d", n), func(b *testing.B) {
		s, next := big(b, filepath.Join(b.TempDir(), "history.db"), n)
		f(b, s, next)
	})
	b.Run(fmt.Sprintf("store=PostgreSQL/runs=%d", n), func(b *testing.B) {
		pg, err := server()
		if err != nil {
			b.Skip(err)
		}
		s, next := big(b, pg.Database(b), n)
		f(b, s, next)
	})
}

func BenchmarkStore(b *testing.B) {
	eachBigStore(b, func(b *testing.B, s *Store, next func(int) Run) {
		i := storeSize()
		b.Run("op=add", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				run := next(i)
				i++
				b.StartTimer()
				if _, _, err := s.Add(b.Context(), run); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("op=list", func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Runs(b.Context(), Filter{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("op=trend", func(b *testing.B) {
			q := Query{Ops: []string{"Disk/op=many_07"}, Detector: DefaultDetector()}
			for b.Loop() {
				if t, err := s.Trends(b.Context(), q); err != nil || len(t) != 1 {
					b.Fatal(t, err)
				}
			}
		})
		// What a run of one boot takes, for docs/fleet.md.
		b.Run("op=size", func(b *testing.B) {
			var runs, figures, samples, text, compressed float64
			for b.Loop() {
				err := s.db.QueryRowContext(b.Context(), `SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM figures),
					(SELECT count(*) FROM samples), (SELECT sum(size) FROM texts), (SELECT sum(length(gzip)) FROM texts)`).
					Scan(&runs, &figures, &samples, &text, &compressed)
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(figures/runs, "figures/run")
			b.ReportMetric(samples/runs, "samples/run")
			b.ReportMetric(text/runs, "text-B/run")
			b.ReportMetric(compressed/runs, "gzip-B/run")
			if s.dialect.name == sqliteDialect.name {
				if err := s.db.QueryRowContext(b.Context(), `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`).Scan(&text); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(text/runs, "store-B/run")
			}
		})
	})
}
