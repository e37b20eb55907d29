package guesttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The variables that steer the stand-in.
const (
	envState = "STANDIN_STATE" // directory: snapshots and markers
	envRoot  = "STANDIN_ROOT"  // workspace
	envMode  = "STANDIN_MODE"  // fault:verb, see standIn
	envReal  = "STANDIN_REAL"  // the command to hand over to after a pause
)

const (
	manualMax   = 12
	firstManual = 10
	cutAt       = 5000
)

// standIn is a snapshots command that needs no gateway. It copies the
// workspace, tells changes by size, as Capsem does, and has one fault:
//
//	cut          list and changes are cut to 5000 bytes, as by old versions
//	words:VERB   answers in words       lie:VERB    says yes and does nothing
//	fail:VERB    exit status 1          garbage:VERB  prints what is no JSON
//	hang:VERB    never ends             pause:VERB  waits until it may go on, once
func standIn(args []string, stdout, stderr io.Writer) int {
	args = slices.DeleteFunc(args, func(s string) bool { return s == "--json" })
	s := standInState{dir: os.Getenv(envState), root: os.Getenv(envRoot)}
	s.count()
	fault, verb, _ := strings.Cut(os.Getenv(envMode), ":")
	if verb == args[0] {
		switch fault {
		case "words":
			fmt.Fprintln(stdout, `"No checkpoints available yet."`)
			return 0
		case "garbage":
			fmt.Fprintln(stdout, "<html>")
			return 0
		case "fail":
			fmt.Fprintln(stderr, "noise\nError: no manual slots \x1b[31mleft")
			return 1
		case "hang":
			select {}
		case "pause":
			s.pause()
		}
	}
	if real := os.Getenv(envReal); real != "" {
		cmd := exec.Command(real, append(args, "--json")...)
		cmd.Stdout, cmd.Stderr = stdout, stderr
		if err := cmd.Run(); err != nil {
			return 1
		}
		return 0
	}
	answer, err := s.call(args, fault == "lie" && verb == args[0])
	if err != nil {
		fmt.Fprintln(stderr, "Error:", err)
		return 1
	}
	text, _ := json.Marshal(answer)
	if fault == "cut" && (args[0] == "list" || args[0] == "changes") && len(text) > cutAt {
		answer = fmt.Sprintf("Content length: %d\nShowing: 0..%d\nUse start_index=%d to continue.\n\n%s", len(text), cutAt, cutAt, text[:cutAt])
	}
	enc := json.NewEncoder(stdout)
	enc.SetIndent("", "  ")
	_ = enc.Encode(answer)
	return 0
}

type standInState struct{ dir, root string }

// count notes one call of the command.
func (s standInState) count() {
	f, err := os.OpenFile(filepath.Join(s.dir, "calls"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil {
		_, _ = f.WriteString(".")
		_ = f.Close()
	}
}

// calls is how often the command was called.
func (s standInState) calls() int {
	text, _ := os.ReadFile(filepath.Join(s.dir, "calls"))
	return len(text)
}

// pause tells the test that the call has begun and waits for its leave. It
// happens once: the first process that finds no marker.
func (s standInState) pause() {
	f, err := os.OpenFile(filepath.Join(s.dir, "reached"), os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	_ = f.Close()
	for {
		if _, err := os.Stat(filepath.Join(s.dir, "go")); err == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (s standInState) slot(n int) string { return filepath.Join(s.dir, "slots", strconv.Itoa(n)) }

// names returns the snapshot names by slot.
func (s standInState) names() map[int]string {
	names := make(map[int]string)
	for n := range firstManual + manualMax {
		if name, err := os.ReadFile(filepath.Join(s.slot(n), "name")); err == nil {
			names[n] = string(name)
		}
	}
	return names
}

func (s standInState) manual() (n int) {
	for slot := range s.names() {
		if slot >= firstManual {
			n++
		}
	}
	return n
}

func (s standInState) call(args []string, lie bool) (any, error) {
	switch args[0] {
	case "create":
		return s.create(args[1])
	case "list":
		return s.list(), nil
	case "changes":
		if lie {
			return []any{}, nil
		}
		return s.changes(), nil
	case "revert":
		return s.revert(args[1], args[2], lie)
	case "delete":
		if _, err := os.Stat(s.slot(slotOf(args[1]))); err != nil {
			return nil, fmt.Errorf("checkpoint %s not found", args[1])
		}
		if !lie {
			_ = os.RemoveAll(s.slot(slotOf(args[1])))
		}
		return map[string]any{"checkpoint": args[1], "deleted": true}, nil
	}
	return nil, errors.New("unknown command")
}

func slotOf(id string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "cp-"))
	if err != nil {
		return -1
	}
	return n
}

func (s standInState) create(name string) (any, error) {
	names := s.names()
	for n := firstManual; n < firstManual+manualMax; n++ {
		if _, taken := names[n]; taken {
			continue
		}
		if err := os.CopyFS(filepath.Join(s.slot(n), "tree"), os.DirFS(s.root)); err != nil {
			return nil, err
		}
		err := os.WriteFile(filepath.Join(s.slot(n), "name"), []byte(name), 0o600)
		return map[string]any{"available": manualMax - s.manual(), "checkpoint": fmt.Sprintf("cp-%d", n), "hash": strings.Repeat("0", 64), "name": name}, err
	}
	return nil, fmt.Errorf("no manual snapshot slots available (max %d)", manualMax)
}

func (s standInState) list() any {
	entries := []any{}
	for slot, name := range s.names() {
		origin, sizes := "manual", fileSizes(filepath.Join(s.slot(slot), "tree"))
		if slot < firstManual {
			origin = "auto"
		}
		changes := []any{}
		for path, size := range sizes {
			changes = append(changes, map[string]any{"op": "new", "path": path, "size": size})
		}
		entries = append(entries, map[string]any{
			"age": "just now", "changes": changes, "checkpoint": fmt.Sprintf("cp-%d", slot), "files_count": len(sizes),
			"hash": nil, "name": name, "origin": origin, "slot": slot,
		})
	}
	return map[string]any{"auto_max": firstManual, "manual_available": manualMax - s.manual(), "manual_max": manualMax, "snapshots": entries}
}

func (s standInState) changes() any {
	rows, live, names := []any{}, fileSizes(s.root), s.names()
	for slot := firstManual + manualMax; slot >= 0; slot-- { // each path once, newest first
		if _, ok := names[slot]; !ok {
			continue
		}
		old := fileSizes(filepath.Join(s.slot(slot), "tree"))
		for path, size := range live {
			was, ok := old[path]
			op := map[bool]string{true: "modified", false: "created"}[ok]
			if ok && was == size && os.Getenv(envMode) != "cut" {
				continue
			}
			rows = append(rows, map[string]any{
				"path": path, "op": op, "size": size, "checkpoint": fmt.Sprintf("cp-%d", slot), "checkpoint_age": "just now",
				"checkpoint_origin": "manual", "checkpoint_name": nil,
			})
			delete(live, path)
		}
	}
	return rows
}

func (s standInState) revert(path, id string, lie bool) (any, error) {
	data, err := os.ReadFile(filepath.Join(s.slot(slotOf(id)), "tree", path))
	if err == nil && !lie {
		err = os.WriteFile(filepath.Join(s.root, path), data, 0o644)
	}
	return map[string]any{"action": "restored", "checkpoint": id, "path": path, "reverted": true}, err
}

func fileSizes(root string) map[string]int64 {
	sizes := make(map[string]int64)
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			info, _ := d.Info()
			rel, _ := filepath.Rel(root, path)
			sizes[rel] = info.Size()
		}
		return nil
	})
	return sizes
}

// newStandIn returns a workspace with things in it, the state of a stand-in
// for it, and the environment that makes the guest binary use both.
func newStandIn(t *testing.T, mode string) (home string, state standInState, env []string) {
	t.Helper()
	home, bin := populatedHome(t), t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(self, filepath.Join(bin, "snapshots")))
	state = standInState{dir: t.TempDir(), root: home}
	return home, state, baseEnv(home, bin, envState+"="+state.dir, envRoot+"="+home, envMode+"="+mode)
}
