package snapshotscli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/internal/guest/procstart"
	"github.com/capsem/capsem-bench/internal/record"
)

// A List is what list answers. Old versions cut it: then Cut is set, Snapshots
// is empty, and only the numbers at the front are there.
type List struct {
	listNumbers
	Snapshots []Entry   `json:"snapshots"`
	Cut       *CutError `json:"-"`
}

// listNumbers stand before the snapshots: the keys are in alphabetical order.
type listNumbers struct {
	ManualAvailable *int `json:"manual_available"`
	ManualMax       *int `json:"manual_max"`
}

// An Entry is one snapshot of a list.
type Entry struct {
	Checkpoint string `json:"checkpoint"`
	Name       string `json:"name"`
	Origin     string `json:"origin"` // "auto" or "manual"
	FilesCount int64  `json:"files_count"`
}

// Find returns the entry of a checkpoint.
func (l *List) Find(id string) (Entry, bool) {
	for _, e := range l.Snapshots {
		if e.Checkpoint == id {
			return e, true
		}
	}
	return Entry{}, false
}

// Used returns how many manual slots are taken. It reports false if the list
// does not say.
func (l *List) Used() (int, bool) {
	if l.ManualMax != nil && l.ManualAvailable != nil {
		return *l.ManualMax - *l.ManualAvailable, true
	}
	n := 0
	for _, e := range l.Snapshots {
		if e.Origin == "manual" {
			n++
		}
	}
	return n, l.Cut == nil
}

// A Change is one row of changes.
type Change struct {
	Path       string `json:"path"`
	Op         string `json:"op"` // "created", "modified", "deleted"
	Size       *int64 `json:"size"`
	Checkpoint string `json:"checkpoint"`
	Origin     string `json:"checkpoint_origin"`
}

// A CutError says that an answer was cut to a page: versions of Capsem that
// do so with JSON too make it unreadable and its time meaningless.
type CutError struct{ Shown, Total int64 }

func (e *CutError) Error() string {
	return fmt.Sprintf("response truncated to %d of %d bytes: this Capsem cuts list and changes", e.Shown, e.Total)
}

// ErrNoCheckpoints is an answer in words: there is no snapshot at all.
var ErrNoCheckpoints = errors.New("no checkpoints available yet")

// readAnswer reads the one JSON value that the command prints into answer, a
// pointer to a struct for an object or to a slice for an array.
func readAnswer(out []byte, answer any) error {
	out = bytes.TrimSpace(out)
	switch {
	case len(out) >= procstart.MaxOutput:
		return fmt.Errorf("more than %d bytes of output", procstart.MaxOutput)
	case len(out) == 0:
		return errors.New("no output")
	}
	var value json.RawMessage
	err := json.Unmarshal(out, &value)
	words, isWords := string(out), false
	if err == nil && value[0] == '"' {
		isWords = json.Unmarshal(value, &words) == nil
	}
	if cut := inWords(words); cut != nil {
		return cut
	}
	want := byte('{')
	if reflect.TypeOf(answer).Elem().Kind() == reflect.Slice {
		want = '['
	}
	switch {
	case err != nil:
		return fmt.Errorf("output that is no JSON: %w", err)
	case isWords:
		return fmt.Errorf("an answer in words: %q", record.Printable(words, 120))
	case value[0] != want:
		return fmt.Errorf("unexpected output: it begins with %q, want %q", value[0], want)
	}
	if err := json.Unmarshal(value, answer); err != nil {
		return fmt.Errorf("unexpected output: %w", err)
	}
	return nil
}

// inWords recognises the answers that are text where JSON was asked for.
func inWords(text string) error {
	if strings.HasPrefix(text, "No checkpoints available") {
		return ErrNoCheckpoints
	}
	page, part, ok := contract.ParsePage(text)
	if !ok {
		return nil
	}
	return &cutText{&CutError{Shown: page.To - page.From, Total: page.Total}, part}
}

// cutText is a CutError with the text that was shown.
type cutText struct {
	*CutError
	text string
}

func (e *cutText) Unwrap() error { return e.CutError }

// frontNumbers reads the numbers that stand before the snapshots in a cut list.
func frontNumbers(cut string) listNumbers {
	front, _, _ := strings.Cut(cut, `"snapshots"`)
	var n listNumbers
	if json.Unmarshal([]byte(strings.TrimRight(front, ", \n")+"}"), &n) != nil {
		return listNumbers{}
	}
	return n
}

// isCheckpointID reports whether s is "cp-" and a number.
func isCheckpointID(s string) bool {
	digits, ok := strings.CutPrefix(s, "cp-")
	return ok && digits != "" && len(digits) <= 9 && strings.Trim(digits, "0123456789") == ""
}
