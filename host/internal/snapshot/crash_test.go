package snapshot

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

const envVictim = "SNAPSHOT_TEST_VICTIM" // directory with workspace and store

func TestMain(m *testing.M) {
	if base := os.Getenv(envVictim); base != "" {
		if err := victim(base, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

const victimFiles = 30

func victimPath(i int) string { return fmt.Sprintf("d%d/f%d", i%3, i) }

// victimText is what file i has in version v; most sizes stay the same.
func victimText(v, i int) string {
	return strings.Repeat(fmt.Sprintf("%08d.%02d\n", v, i), 1+i*40) + strings.Repeat("!", v%2)
}

func victimConfig(base string) Config {
	return Config{Workspace: filepath.Join(base, "workspace"), Dir: filepath.Join(base, "store"), AutoMax: 2, ManualMax: 3}
}

// victim changes the workspace and takes, reverts, merges and deletes
// snapshots until it is killed. A snapshot's name is the version that all
// files have in it. It says what it is about to do and what it has done.
func victim(base string, out io.Writer) error {
	ctx := context.Background()
	s, err := Open(ctx, victimConfig(base))
	if err != nil {
		return err
	}
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	say("open")
	for v := int(time.Now().UnixNano() % 1e7); ; v++ {
		for i := range victimFiles {
			path := filepath.Join(s.cfg.Workspace, victimPath(i))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte(victimText(v, i)), 0o600); err != nil {
				return err
			}
		}
		if err := victimStep(ctx, s, v, say); err != nil {
			return err
		}
	}
}

func victimStep(ctx context.Context, s *Store, v int, say func(string, ...any)) error {
	name := strconv.Itoa(v)
	for s.available() < 2 { // compact needs a free one
		for _, sn := range s.newestFirst() {
			if sn.Origin == Manual {
				say("deleting %s", sn.Name)
				if err := s.Delete(ctx, sn.Slot); err != nil {
					return err
				}
				break
			}
		}
	}
	say("creating %s", name)
	info, _, err := s.Create(ctx, name)
	if err != nil {
		return err
	}
	say("created %s", name)
	if _, err := s.TakeAuto(ctx); err != nil {
		return err
	}
	path := filepath.Join(s.cfg.Workspace, victimPath(7))
	if err := os.WriteFile(path, []byte("edited"), 0o600); err != nil {
		return err
	}
	if _, err := s.Revert(ctx, victimPath(7), &info.Slot); err != nil {
		return err
	}
	if v%3 == 0 { // the newer of both wins, so the merged one has its version
		if old := s.oldestManual(); old != nil && old.Slot != info.Slot {
			say("deleting %s", old.Name)
			say("deleting %s", name)
			_, err := s.Compact(ctx, []int{info.Slot, old.Slot}, name)
			return err
		}
	}
	return nil
}

func (s *Store) oldestManual() (oldest *snap) {
	for _, sn := range s.newestFirst() {
		if sn.Origin == Manual {
			oldest = sn
		}
	}
	return oldest
}

// A process is killed at many moments, each time after a random number of
// steps and a random while into the next. After each kill the store opens,
// every snapshot in it is whole, and none is missing that was finished.
func TestKilledAtAnyMoment(t *testing.T) {
	base := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(base, "workspace"), 0o700))
	random := rand.New(rand.NewPCG(1, 2))
	alive := map[string]bool{} // finished and not about to be deleted
	leftovers := 0
	for range 60 {
		steps, while := 1+random.IntN(12), time.Duration(random.IntN(4000))*time.Microsecond
		runVictim(t, base, steps, while, alive)
		left, err := filepath.Glob(filepath.Join(base, "store", ".*-*"))
		require.NoError(t, err)
		leftovers += len(left)
		checkStore(t, base, alive)
	}
	assert.Positive(t, leftovers, "no kill came in the midst of anything")
	t.Logf("%d kills left something half done", leftovers)
}

// runVictim runs the process until it is killed, and takes down what it said.
func runVictim(t *testing.T, base string, steps int, while time.Duration, alive map[string]bool) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envVictim+"="+base)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		verb, name, _ := strings.Cut(lines.Text(), " ")
		switch verb {
		case "created":
			alive[name] = true
		case "deleting":
			delete(alive, name)
		}
		if n == steps {
			time.AfterFunc(while, func() { _ = cmd.Process.Kill() })
		}
	}
	require.EqualError(t, cmd.Wait(), "signal: killed", stderr.String())
}

// checkStore reads every file of every snapshot.
func checkStore(t *testing.T, base string, alive map[string]bool) {
	t.Helper()
	s, err := Open(t.Context(), victimConfig(base))
	require.NoError(t, err)
	defer s.Close()
	listed := map[string]bool{}
	for _, sn := range s.newestFirst() {
		first, err := os.ReadFile(sn.file(victimPath(0)))
		require.NoError(t, err)
		v, err := strconv.Atoi(string(first[:8]))
		require.NoError(t, err)
		if sn.Origin == Manual {
			require.Equal(t, sn.Name, strconv.Itoa(v))
			listed[sn.Name] = true
		}
		for i := range victimFiles {
			text, err := os.ReadFile(sn.file(victimPath(i)))
			require.NoError(t, err)
			require.Equal(t, victimText(v, i), string(text), "%s %s", ID(sn.Slot), victimPath(i))
		}
	}
	for name := range alive {
		require.True(t, listed[name], "snapshot %s was finished and is gone", name)
	}
	names, err := os.ReadDir(s.cfg.Dir)
	require.NoError(t, err)
	require.Len(t, names, 1+len(s.newestFirst()), "the lock and the snapshots")
}
