package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"
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
	ID, Name string
}

// A SnapshotList is what list answers. Old versions cut it: then Cut is set,
// Snapshots is empty, and only the numbers at the front are there.
type SnapshotList struct {
	ManualAvailable *int64
	ManualMax       *int64
	Snapshots       []SnapshotEntry
	Cut             *CutError
}

// A SnapshotEntry is one snapshot of a list.
type SnapshotEntry struct {
	Checkpoint string
	Name       string
	Origin     string // "auto" or "manual"
	FilesCount int64
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
		return int(*l.ManualMax - *l.ManualAvailable), true
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
	Path       string
	Op         string // "created", "modified", "deleted"
	Size       *int64
	Checkpoint string
	Origin     string
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
	answer, call, err := c.call(ctx, fastjson.TypeObject, "create", name)
	if err != nil {
		return Checkpoint{}, call, err
	}
	cp := Checkpoint{ID: text(answer, "checkpoint"), Name: text(answer, "name")}
	switch {
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
	l := new(SnapshotList)
	answer, call, err := c.call(ctx, fastjson.TypeObject, "list")
	var cut *cutText
	switch {
	case errors.As(err, &cut):
		l.Cut = cut.CutError
		l.ManualAvailable, l.ManualMax = frontNumbers(cut.text)
		return l, call, nil
	case errors.Is(err, ErrNoCheckpoints):
		return l, call, nil
	case err == nil:
		l.read(answer)
	}
	return l, call, err
}

// read takes over what is of use here of a list.
func (l *SnapshotList) read(answer *fastjson.Value) {
	l.ManualAvailable, l.ManualMax = number(answer, "manual_available"), number(answer, "manual_max")
	for _, e := range answer.GetArray("snapshots") {
		l.Snapshots = append(l.Snapshots, SnapshotEntry{
			Checkpoint: text(e, "checkpoint"), Name: text(e, "name"), Origin: text(e, "origin"), FilesCount: e.GetInt64("files_count"),
		})
	}
}

// text is a string in an answer, "" if there is none.
func text(v *fastjson.Value, key string) string { return string(v.GetStringBytes(key)) }

// number is a whole number in an answer, nil if there is none.
func number(v *fastjson.Value, key string) *int64 {
	field := v.Get(key)
	if field == nil {
		return nil
	}
	n, err := field.Int64()
	if err != nil {
		return nil
	}
	return &n
}

// Changes lists what differs from the snapshots. Errors: *CutError,
// ErrNoCheckpoints.
func (c *SnapshotCLI) Changes(ctx context.Context) ([]Change, Call, error) {
	answer, call, err := c.call(ctx, fastjson.TypeArray, "changes")
	if err != nil {
		return nil, call, err
	}
	var rows []Change
	for _, row := range answer.GetArray() {
		rows = append(rows, Change{
			Path: text(row, "path"), Op: text(row, "op"), Size: number(row, "size"),
			Checkpoint: text(row, "checkpoint"), Origin: text(row, "checkpoint_origin"),
		})
	}
	return rows, call, nil
}

// Revert brings one file back, its path relative to the workspace, and checks
// that the answer says so.
func (c *SnapshotCLI) Revert(ctx context.Context, path, checkpoint string) (Call, error) {
	answer, call, err := c.call(ctx, fastjson.TypeObject, "revert", path, checkpoint)
	if err != nil {
		return call, err
	}
	action, from, file := text(answer, "action"), text(answer, "checkpoint"), text(answer, "path")
	if !answer.GetBool("reverted") || action != "restored" || from != checkpoint || file != path {
		err = fmt.Errorf("revert answered action %q, checkpoint %q, path %q; want %q, %q, %q", Printable(action, 40),
			Printable(from, 40), Printable(file, 120), "restored", checkpoint, path)
	}
	return call, err
}

// Delete removes a manual snapshot and checks that the answer says so.
func (c *SnapshotCLI) Delete(ctx context.Context, checkpoint string) (Call, error) {
	answer, call, err := c.call(ctx, fastjson.TypeObject, "delete", checkpoint)
	if err != nil {
		return call, err
	}
	if id, deleted := text(answer, "checkpoint"), answer.GetBool("deleted"); !deleted || id != checkpoint {
		err = fmt.Errorf("delete answered checkpoint %q, deleted %t; want %q", Printable(id, 40), deleted, checkpoint)
	}
	return call, err
}

// argv builds the command line of one call.
func (c *SnapshotCLI) argv(verb string, args ...string) []string {
	return append(append([]string{c.path, verb}, args...), "--json")
}

// call runs one process and reads its answer.
func (c *SnapshotCLI) call(ctx context.Context, want fastjson.Type, verb string, args ...string) (*fastjson.Value, Call, error) {
	r, err := Exec(ctx, c.timeout, "", c.argv(verb, args...)...)
	call := Call{r.Start, r.Elapsed}
	var answer *fastjson.Value
	if err == nil {
		answer, err = readAnswer(r.Stdout, want)
	}
	if err != nil {
		return nil, call, fmt.Errorf("snapshots %s: %w", verb, err)
	}
	return answer, call, nil
}

// readAnswer reads the one JSON value that the command prints.
func readAnswer(out []byte, want fastjson.Type) (*fastjson.Value, error) {
	out = bytes.TrimSpace(out)
	switch {
	case len(out) >= maxOutput:
		return nil, fmt.Errorf("more than %d bytes of output", maxOutput)
	case len(out) == 0:
		return nil, errors.New("no output")
	}
	answer, err := parseJSON(out)
	words := string(out)
	if err == nil && answer.Type() == fastjson.TypeString {
		words = string(answer.GetStringBytes())
	}
	if cut := inWords(words); cut != nil {
		return nil, cut
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("output that is no JSON: %w", err)
	case answer.Type() == want:
		return answer, nil
	case answer.Type() == fastjson.TypeString:
		return nil, fmt.Errorf("an answer in words: %q", Printable(words, 120))
	}
	return nil, fmt.Errorf("unexpected output: %v, want %v", answer.Type(), want)
}

// parseJSON is strict; the parser alone lets some malformed values pass.
func parseJSON(text []byte) (*fastjson.Value, error) {
	if err := fastjson.ValidateBytes(text); err != nil {
		return nil, err
	}
	return fastjson.ParseBytes(text)
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
func frontNumbers(cut string) (available, limit *int64) {
	front, _, _ := strings.Cut(cut, `"snapshots"`)
	answer, err := parseJSON([]byte(strings.TrimRight(front, ", \n") + "}"))
	if err != nil {
		return nil, nil
	}
	return number(answer, "manual_available"), number(answer, "manual_max")
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
