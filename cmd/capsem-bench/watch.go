package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/cachedir"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/internal/vmconfig"
)

// watch follows benchmark text as it comes and tells the progress line what
// is under way. It is a writer beside the one that keeps the text.
type watch struct {
	p       *progress
	took    durations
	partial []byte
	op      string
	from    time.Time
	rounds  int
	ahead   []string // operations that the run will attempt and has not begun
	begun   int
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
	case *record.Run:
		w.rounds, w.ahead, w.begun = v.Rounds, v.Expected, 0
	case *record.Samples:
		if v.Op == w.op && v.Round < w.rounds {
			w.tell(v.Round + 1)
		}
	case *record.Start:
		w.begin(termtext.Cell(v.Op))
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
	w.begun++
	if i := slices.Index(w.ahead, op); i >= 0 {
		w.ahead = w.ahead[i+1:] // what has no line of its own is behind
		w.begun = max(w.begun, i+1)
	}
	w.tell(1)
}

// tell says where the run is: operation, round, and the time that is left, where
// all that is ahead has been measured before.
func (w *watch) tell(round int) {
	text := w.op
	if all := w.begun + len(w.ahead); all > 1 {
		text += fmt.Sprintf(", op %d/%d", w.begun, all)
	}
	if w.rounds > 1 {
		text += fmt.Sprintf(", round %d/%d", max(round, 1), w.rounds)
	}
	if left := w.left(); left > 0 {
		text += ", " + left.Round(time.Second).String() + " left"
	}
	w.p.step(text, seconds(w.took[w.op]))
}

// left is what the operations ahead took last time, and the rest of this one; 0
// where one of them is not known.
func (w *watch) left() time.Duration {
	if w.took[w.op] == 0 {
		return 0
	}
	sum := max(0, seconds(w.took[w.op])-time.Since(w.from))
	for _, op := range w.ahead {
		if w.took[op] == 0 {
			return 0
		}
		sum += seconds(w.took[op])
	}
	return sum
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// durations are how many seconds each operation took last time, with its
// set-up. They are a convenience: whatever goes wrong with them is ignored.
type durations map[string]float64

// durationsFile is where they are kept; "" is nowhere. In a guest the cache
// directory is part of the workspace, whose snapshots are measured.
func durationsFile() string {
	if inGuest() {
		return ""
	}
	dir, err := cachedir.Path()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "durations.json")
}

// inGuest reports whether this is a guest of ours, or of a Capsem.
func inGuest() bool {
	_, err := os.Stat(filepath.Join(vmconfig.RunDir, contract.Relay))
	return err == nil || os.Getenv(catalogue.EnvSandbox) != ""
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
	if name == "" || err != nil {
		return
	}
	if _, err := cachedir.Make(); err != nil {
		return
	}
	_ = atomicfile.Write(name, text)
}
