package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// snapshotsCommand is the command that a Capsem guest has in its PATH.
const snapshotsCommand = "snapshots"

// createGrace is how long a create that is under way may still run when the
// run is interrupted: killed earlier it may leave a checkpoint on the host
// whose id nobody learns. It is half of the time that a pass has to clean up.
const createGrace = 2500 * time.Millisecond

// A SnapshotCLI calls `snapshots <verb> ... --json` and reads its answers.
// Each call is one process and one tool call through the gateway.
//
// The command prints the text of the tool's answer as JSON, and one that is
// no JSON as a JSON string, with exit status 0 in both cases. So every answer
// is held to its shape: a sentence or a cut list is never taken for success.
type SnapshotCLI struct {
	path    string
	timeout time.Duration
}

// FindSnapshotCLI looks for the command in PATH; without it the category is
// skipped.
func FindSnapshotCLI() (*SnapshotCLI, error) {
	path, err := exec.LookPath(snapshotsCommand)
	if err != nil {
		return nil, SkipError("no snapshots command in PATH; it belongs to a Capsem guest")
	}
	return &SnapshotCLI{path: path, timeout: SnapshotTimeout()}, nil
}

// A Call is the timing of one process, from before fork to after wait.
type Call struct {
	Start   time.Time
	Elapsed time.Duration
}

// A Checkpoint is what create answers.
type Checkpoint struct {
	ID        string `json:"checkpoint"`
	Name      string `json:"name"`
	Hash      string `json:"hash"`
	Available *int   `json:"available"`
}

// A SnapshotList is what list answers. Old versions cut it: then Cut is set,
// Snapshots is empty, and only the numbers at the front are there.
type SnapshotList struct {
	ManualAvailable *int            `json:"manual_available"`
	ManualMax       *int            `json:"manual_max"`
	Snapshots       []SnapshotEntry `json:"snapshots"`
	Cut             *CutError       `json:"-"`
}

// A SnapshotEntry is one snapshot of a list.
type SnapshotEntry struct {
	Checkpoint string `json:"checkpoint"`
	Name       string `json:"name"`
	Origin     string `json:"origin"` // "auto" or "manual"
	FilesCount int64  `json:"files_count"`
}

// Find returns the entry of a checkpoint.
func (l *SnapshotList) Find(id string) (SnapshotEntry, bool) {
	for _, e := range l.Snapshots {
		if e.Checkpoint == id {
			return e, true
		}
	}
	return SnapshotEntry{}, false
}

// Used returns how many manual slots are taken. It reports false if the list
// does not say.
func (l *SnapshotList) Used() (int, bool) {
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

// Create makes a manual snapshot and checks that the answer echoes the name
// and has a checkpoint id. It is the one call that an interruption does not
// kill at once. With an error the id is set if the answer had one.
func (c *SnapshotCLI) Create(ctx context.Context, name string) (Checkpoint, Call, error) {
	ctx, cancel := withGrace(ctx, createGrace)
	defer cancel()
	var cp Checkpoint
	call, err := c.call(ctx, &cp, "create", name)
	switch {
	case err != nil:
		return Checkpoint{}, call, err
	case !isCheckpointID(cp.ID):
		return Checkpoint{}, call, fmt.Errorf("create answered the checkpoint %q; want cp-<number>", Printable(cp.ID, 40))
	case cp.Name != name:
		return cp, call, fmt.Errorf("create answered the name %q; want %q", Printable(cp.Name, 80), name)
	}
	return cp, call, nil
}

// List lists the snapshots. A cut list is no error, for the numbers in it
// are of use; see Cut.
func (c *SnapshotCLI) List(ctx context.Context) (*SnapshotList, Call, error) {
	var l SnapshotList
	call, err := c.call(ctx, &l, "list")
	var cut *cutText
	switch {
	case errors.As(err, &cut):
		l = SnapshotList{Cut: cut.CutError}
		l.ManualAvailable, l.ManualMax = frontNumbers(cut.text)
		return &l, call, nil
	case errors.Is(err, ErrNoCheckpoints):
		return &SnapshotList{}, call, nil
	}
	return &l, call, err
}

// Changes lists what differs from the snapshots. Errors: *CutError,
// ErrNoCheckpoints.
func (c *SnapshotCLI) Changes(ctx context.Context) ([]Change, Call, error) {
	var rows []Change
	call, err := c.call(ctx, &rows, "changes")
	return rows, call, err
}

// Revert brings one file back, its path relative to the workspace, and checks
// that the answer says so.
func (c *SnapshotCLI) Revert(ctx context.Context, path, checkpoint string) (Call, error) {
	var answer struct {
		Action     string `json:"action"`
		Checkpoint string `json:"checkpoint"`
		Path       string `json:"path"`
		Reverted   bool   `json:"reverted"`
	}
	call, err := c.call(ctx, &answer, "revert", path, checkpoint)
	if err == nil && (!answer.Reverted || answer.Action != "restored" || answer.Checkpoint != checkpoint || answer.Path != path) {
		err = fmt.Errorf("revert answered action %q, checkpoint %q, path %q; want %q, %q, %q", Printable(answer.Action, 40),
			Printable(answer.Checkpoint, 40), Printable(answer.Path, 120), "restored", checkpoint, path)
	}
	return call, err
}

// Delete removes a manual snapshot and checks that the answer says so.
func (c *SnapshotCLI) Delete(ctx context.Context, checkpoint string) (Call, error) {
	var answer struct {
		Checkpoint string `json:"checkpoint"`
		Deleted    bool   `json:"deleted"`
	}
	call, err := c.call(ctx, &answer, "delete", checkpoint)
	if err == nil && (!answer.Deleted || answer.Checkpoint != checkpoint) {
		err = fmt.Errorf("delete answered checkpoint %q, deleted %t; want %q", Printable(answer.Checkpoint, 40), answer.Deleted, checkpoint)
	}
	return call, err
}

// argv builds the command line of one call.
func (c *SnapshotCLI) argv(verb string, args ...string) []string {
	return append(append([]string{c.path, verb}, args...), "--json")
}

// call runs one process and decodes its answer.
func (c *SnapshotCLI) call(ctx context.Context, answer any, verb string, args ...string) (Call, error) {
	r, err := Exec(ctx, c.timeout, "", c.argv(verb, args...)...)
	call := Call{r.Start, r.Elapsed}
	if err == nil {
		err = decodeAnswer(r.Stdout, answer)
	}
	if err != nil {
		return call, fmt.Errorf("snapshots %s: %w", verb, err)
	}
	return call, nil
}

// decodeAnswer decodes the one JSON value that the command prints.
func decodeAnswer(out []byte, answer any) error {
	out = bytes.TrimSpace(out)
	switch {
	case len(out) >= maxOutput:
		return fmt.Errorf("more than %d bytes of output", maxOutput)
	case len(out) == 0:
		return errors.New("no output")
	}
	text, quoted := string(out), out[0] == '"'
	if quoted {
		if err := json.Unmarshal(out, &text); err != nil {
			return fmt.Errorf("output that is no JSON: %w", err)
		}
	}
	if err := inWords(text); err != nil {
		return err
	}
	if quoted {
		return fmt.Errorf("an answer in words: %q", Printable(text, 120))
	}
	if err := json.Unmarshal(out, answer); err != nil {
		return fmt.Errorf("unexpected output: %w", err)
	}
	return nil
}

// inWords recognises the answers that are text where JSON was asked for.
func inWords(text string) error {
	if strings.HasPrefix(text, "No checkpoints available") {
		return ErrNoCheckpoints
	}
	head, chunk, ok := strings.Cut(text, "\n\n")
	total, shown, _ := strings.Cut(head, "\n")
	shown, _, _ = strings.Cut(shown, "\n")
	total, isCut := strings.CutPrefix(total, "Content length: ")
	from, to, _ := strings.Cut(strings.TrimPrefix(shown, "Showing: "), "..")
	n, err1 := strconv.ParseInt(total, 10, 64)
	a, err2 := strconv.ParseInt(from, 10, 64)
	b, err3 := strconv.ParseInt(to, 10, 64)
	if !ok || !isCut || errors.Join(err1, err2, err3) != nil {
		return nil
	}
	return &cutText{&CutError{Shown: b - a, Total: n}, chunk}
}

// cutText is a CutError with the text that was shown.
type cutText struct {
	*CutError
	text string
}

func (e *cutText) Unwrap() error { return e.CutError }

// frontNumbers reads the numbers that stand before the snapshots in a cut
// list; keys are in alphabetical order, so they are there.
func frontNumbers(text string) (available, limit *int) {
	dec := json.NewDecoder(strings.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, nil
	}
	for {
		key, err := dec.Token()
		if err != nil || key == "snapshots" {
			return available, limit
		}
		var n json.Number
		if err := dec.Decode(&n); err != nil {
			return available, limit
		}
		v, err := n.Int64()
		if err != nil {
			continue
		}
		switch i := int(v); key {
		case "manual_available":
			available = &i
		case "manual_max":
			limit = &i
		}
	}
}

// isCheckpointID reports whether s is "cp-" and a number.
func isCheckpointID(s string) bool {
	digits, ok := strings.CutPrefix(s, "cp-")
	return ok && digits != "" && len(digits) <= 9 && strings.Trim(digits, "0123456789") == ""
}

// withGrace returns a context that ends when ctx has been done for the given
// time, with the same cause.
func withGrace(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(grace, func() { cancel(context.Cause(ctx)) })
	})
	return late, func() {
		stop()
		cancel(nil)
	}
}
