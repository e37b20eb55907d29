package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/record"
)

// watch follows benchmark text as it comes and tells the progress line what
// is under way. It is a writer beside the one that keeps the text.
type watch struct {
	p       *progress
	took    durations
	partial []byte
	op      string
	from    time.Time
}

// maxPartial bounds what is kept of a line without an end.
const maxPartial = record.MaxLine

func (w *watch) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			if len(w.partial)+len(b) <= maxPartial {
				w.partial = append(w.partial, b...)
			}
			break
		}
		if len(w.partial)+i <= maxPartial {
			w.line(append(w.partial, b[:i]...))
		}
		w.partial = w.partial[:0]
		b = b[i+1:]
	}
	return n, nil
}

func (w *watch) line(line []byte) {
	v, err := record.Parse(line)
	if err != nil {
		return
	}
	switch v := v.(type) {
	case *record.Start:
		w.begin(oneLine(v.Op))
	case *record.Category:
		if v.Category == "throughput" { // its one operation has no start line
			w.begin("Throughput")
		}
	case *record.Status:
		if v.Status == record.OK && w.op != "" && v.Op == w.op {
			w.took[w.op] = time.Since(w.from).Seconds()
		}
		w.p.step("", 0)
	}
}

func (w *watch) begin(op string) {
	w.op, w.from = op, time.Now()
	w.p.step(op, time.Duration(w.took[op]*float64(time.Second)))
}

// durations are how many seconds each operation took last time, with its
// set-up. They are a convenience: whatever goes wrong with them is ignored.
type durations map[string]float64

func durationsFile() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "capsem-bench", "durations.json")
}

func loadDurations() durations {
	d := make(durations)
	if text, err := os.ReadFile(durationsFile()); err == nil && len(text) < 1<<20 {
		_ = json.Unmarshal(text, &d)
	}
	return d
}

func (d durations) save() {
	name := durationsFile()
	text, err := json.Marshal(d)
	if name == "" || err != nil || os.MkdirAll(filepath.Dir(name), 0o755) != nil {
		return
	}
	_ = atomicfile.Write(name, text)
}
