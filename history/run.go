package history

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/digest"
	"github.com/capsem/capsem-bench/internal/record"
)

// Labels say what a run measured: release, commit, branch, channel, pr, or
// whatever its owner likes.
type Labels map[string]string

// ParseLabels reads words of the form key=value; see record.ParseLabels.
func ParseLabels(words []string) (Labels, error) { return record.ParseLabels(words) }

// String returns the labels as "key=value" words, by key.
func (l Labels) String() string {
	words := make([]string, 0, len(l))
	for _, k := range slices.Sorted(maps.Keys(l)) {
		words = append(words, k+"="+l[k])
	}
	return strings.Join(words, " ")
}

// A Document is one file of a run: benchmark text, or a JSON document that
// Capsem or capsem-bench wrote.
type Document struct {
	Name string
	Data []byte
}

// A Run is what Add takes.
type Run struct {
	Name   string
	Labels Labels
	// Time is when it was measured, for documents that do not say.
	Time      time.Time
	Documents []Document
	Boots     []compare.Boot
	Notes     []string // what of the documents could not be used
}

// ErrEmpty is returned for documents without any operation.
var ErrEmpty = errors.New("no benchmark results in it")

// Read parses the documents of one run, in the given order. Labels that a run
// line states are taken where none is given for the same key.
func Read(name string, labels Labels, docs []Document) (Run, error) {
	run := Run{Name: name, Labels: maps.Clone(labels), Documents: docs}
	if run.Labels == nil {
		run.Labels = make(Labels)
	}
	for _, d := range docs {
		boots, notes, err := compare.ParseBoots(d.Data, d.Name)
		if err != nil {
			return run, err
		}
		run.Boots = append(run.Boots, boots...)
		run.Notes = append(run.Notes, notes...)
	}
	for _, b := range run.Boots {
		if b.Run == nil {
			continue
		}
		for k, v := range b.Run.Labels { // a guest's word: held to the rules of ours
			if l, err := ParseLabels([]string{k + "=" + v}); err == nil && run.Labels[k] == "" {
				run.Labels[k] = l[k]
			}
		}
	}
	if len(run.Boots) == 0 {
		return run, fmt.Errorf("%s: %w", name, ErrEmpty)
	}
	return run, nil
}

// digest identifies a run by its content: the digests of its documents,
// whatever their order.
func (r Run) digest() string {
	sums := make([]string, 0, len(r.Documents))
	for _, d := range r.Documents {
		sums = append(sums, digest.Bytes(d.Data))
	}
	slices.Sort(sums)
	return digest.Bytes([]byte(strings.Join(slices.Compact(sums), "\n")))
}

// recorded is when the run began: its earliest boot, else what was said when
// it was added.
func (r Run) recorded() float64 {
	var first float64
	for _, b := range r.Boots {
		if t := recorded(b); t > 0 && (first == 0 || t < first) {
			first = t
		}
	}
	if first == 0 && !r.Time.IsZero() {
		first = float64(r.Time.UnixNano()) / 1e9
	}
	return first
}

// recorded is when a boot began, in Unix seconds; 0 where it does not say.
func recorded(b compare.Boot) float64 {
	var host, guest float64
	if b.Boot != nil {
		host = b.Boot.Time
	}
	if b.Run != nil {
		guest = b.Run.Time
	}
	return cmp.Or(host, guest)
}

func (r Run) complete() bool {
	return !slices.ContainsFunc(r.Boots, func(b compare.Boot) bool { return !b.Complete() && !b.Imported })
}
