package command_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/capsem/capsem-bench/sandbox/command"
)

// vmScript is a command that makes guests: each is a directory of $VMS, and a
// process that goes on after create. It notes every call.
const vmScript = `#!/bin/sh
echo "$@" >>"$VMS/calls"
verb=$1 name=$2
case $verb in
create)
	[ ! -e "$VMS/$name" ] || { echo "$name exists" >&2; exit 1; }
	mkdir "$VMS/$name"
	[ ! -e "$VMS/slow" ] || { echo "still creating"; sleep 100; }
	[ ! -e "$VMS/broken" ] || { printf 'no room\033[31m\n' >&2; exit 4; }
	sleep 1000 &
	echo $! >"$VMS/$name/pid"
	;;
ready)
	echo try >>"$VMS/$name/tries"
	[ "$(wc -l <"$VMS/$name/tries")" -ge "${TRIES:-3}" ] || { yes 'not yet' | head -n 100000; exit 1; }
	kill -0 "$(cat "$VMS/$name/pid")"
	;;
exec)
	[ -d "$VMS/$name" ] || { echo "no VM $name" >&2; exit 1; }
	sh -c "$3"
	;;
delete)
	kill "$(cat "$VMS/$name/pid")"
	rm -r "$VMS/$name"
	;;
esac
`

// machines makes the script and returns its path, which has blanks, and what
// its templates are.
func machines(t *testing.T) (dir string, cfg command.Config) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "with blanks")
	require.NoError(t, os.Mkdir(dir, 0o755))
	bin := filepath.Join(dir, "my vm {src}")
	require.NoError(t, os.WriteFile(bin, []byte(vmScript), 0o755))
	t.Setenv("VMS", dir)
	t.Cleanup(func() { // of the guests that a failing --delete left
		pids, err := filepath.Glob(filepath.Join(dir, "*", "pid"))
		require.NoError(t, err)
		for _, name := range pids {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			require.NoError(t, err)
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
	})
	self, err := os.Executable()
	require.NoError(t, err)
	return dir, command.Config{
		Exec: "{bin} exec {name} {}", Binary: self, Dir: t.TempDir(), Marks: command.Marks{Bin: bin, Side: "cand", Slot: 7},
		Hooks: command.Hooks{
			Prepare: "{bin} prepare '{side} {slot}'", Create: "{bin} create {name}", Ready: "{bin} ready {name}", Delete: "{bin} delete {name}",
		},
	}
}

func calls(t *testing.T, dir string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "calls"))
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// guests lists those that are there.
func guests(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "bench-*"))
	require.NoError(t, err)
	return names
}

// A fresh guest for each boot: prepared, created, waited for, and deleted.
func TestHooks(t *testing.T) {
	dir, cfg := machines(t)
	var names []string
	for range 2 {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "calls")))
		g, err := command.Open(t.Context(), cfg)
		require.NoError(t, err)
		var out, errs bytes.Buffer
		status, err := g.Run(t.Context(), []string{"show"}, &out, &errs)
		require.NoError(t, err)
		assert.Equal(t, 7, status, errs.String())
		there := guests(t, dir)
		require.Len(t, there, 1)
		name := filepath.Base(there[0])
		names = append(names, name)
		require.NoError(t, g.Close())
		assert.Empty(t, guests(t, dir))
		got := calls(t, dir)
		assert.Equal(t, []string{"prepare cand 7", "create " + name, "ready " + name, "ready " + name, "ready " + name}, got[:5])
		assert.True(t, strings.HasPrefix(got[5], "exec "+name+" sh -c "), got[5])
		assert.Equal(t, "delete "+name, got[len(got)-1])
	}
	assert.NotEqual(t, names[0], names[1])
}

// What was created is deleted whatever comes after it, and its end is the error.
func TestHooksFail(t *testing.T) {
	for _, tt := range []struct {
		kind    string
		edit    func(dir string, cfg *command.Config)
		want    string
		deleted bool
	}{
		{"prepare", func(_ string, c *command.Config) { c.Prepare = "sh -c 'echo no disk; exit 5'" }, "--prepare: sh: exit status 5: no disk", false},
		{"create", func(dir string, _ *command.Config) { touch(t, dir, "broken") }, "exit status 4: no room", true},
		{"no program", func(_ string, c *command.Config) { c.Create = "no-such-program {name}" }, "--create: no-such-program: not found on this machine", false},
		{"ready hangs", func(_ string, c *command.Config) { c.Ready, c.Wait = "sleep 1000", 300*time.Millisecond }, "the guest is not ready after 300ms: --ready: ", true},
		{"no exec", func(_ string, c *command.Config) { c.Exec = "false {}" }, "reaching the guest: false: exit status 1", true},
		{"no binary", func(_ string, c *command.Config) { c.Binary = "/no/such/file" }, "/no/such/file", true},
		{"delete", func(_ string, c *command.Config) { c.Exec, c.Delete = "false {}", "sh -c 'echo stuck; exit 6' {name}" }, "--delete: sh: exit status 6: stuck", true},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			dir, cfg := machines(t)
			tt.edit(dir, &cfg)
			_, err := command.Open(t.Context(), cfg)
			require.ErrorContains(t, err, tt.want)
			if tt.kind == "delete" {
				assert.ErrorContains(t, err, "reaching the guest", "the first error is there too")
				return
			}
			assert.Empty(t, guests(t, dir))
			if text, err := os.ReadFile(filepath.Join(dir, "calls")); tt.deleted && assert.NoError(t, err) {
				assert.Contains(t, string(text), "\ndelete bench-")
			}
		})
	}
}

// A guest that is never ready is deleted, and what --ready said last is why. On
// a busy machine the time may be up before it has said anything, so it gets more.
func TestHooksNeverReady(t *testing.T) {
	dir, cfg := machines(t)
	cfg.Ready = "sh -c 'yes not yet | head -n 100000; exit 1'"
	for cfg.Wait = 300 * time.Millisecond; ; cfg.Wait *= 2 {
		_, err := command.Open(t.Context(), cfg)
		require.ErrorContains(t, err, fmt.Sprintf("the guest is not ready after %v: --ready: ", cfg.Wait))
		assert.Empty(t, guests(t, dir))
		if cfg.Wait > soon || strings.HasSuffix(err.Error(), ": sh: exit status 1: not yet") {
			require.Less(t, cfg.Wait, 2*soon, err)
			break
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "calls"))
	require.NoError(t, err)
	assert.Contains(t, string(text), "\ndelete bench-")
}

func touch(t *testing.T, dir, name string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
}

// A guest that was there before is never deleted: its name is not ours.
func TestGuestOfAnother(t *testing.T) {
	dir, cfg := machines(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "mine"), 0o755))
	cfg.Create, cfg.Delete = "{bin} create mine", "{bin} delete mine"
	_, err := command.Open(t.Context(), cfg)
	require.ErrorContains(t, err, "mine exists")
	assert.DirExists(t, filepath.Join(dir, "mine"))

	cfg.Hooks, cfg.Name = command.Hooks{}, "mine"
	g, err := command.Open(t.Context(), cfg)
	require.NoError(t, err)
	require.NoError(t, g.Close())
	assert.DirExists(t, filepath.Join(dir, "mine"))
}

// An interrupt while a guest is made, waited for or measured in deletes it.
func TestHooksInterrupted(t *testing.T) {
	dir, cfg := machines(t)
	touch(t, dir, "slow")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for len(guests(t, dir)) == 0 && t.Context().Err() == nil {
			<-time.After(5 * time.Millisecond)
		}
		cancel()
	}()
	_, err := command.Open(ctx, cfg)
	require.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, guests(t, dir))

	require.NoError(t, os.Remove(filepath.Join(dir, "slow")))
	t.Setenv("TRIES", "1000")
	ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err = command.Open(ctx, cfg)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Empty(t, guests(t, dir))

	t.Setenv("TRIES", "1")
	g, err := command.Open(t.Context(), cfg)
	require.NoError(t, err)
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	_, pid, wait := start(t, ctx, g, "wait")
	cancel()
	_, err = wait()
	require.NoError(t, err)
	require.NoError(t, g.Close())
	gone(t, pid)
	assert.Empty(t, guests(t, dir))
}

// Hooks that cannot be meant are wrong usage, before anything runs.
func TestHooksUsage(t *testing.T) {
	for want, cfg := range map[string]command.Config{
		"--create and --delete belong together":              {Exec: "sh -c {}", Hooks: command.Hooks{Create: "a {name}"}},
		"--create and --delete belong together: a guest":     {Exec: "sh -c {}", Hooks: command.Hooks{Delete: "a {name}"}},
		"template --create: it makes a guest, and a name":    {Exec: "sh -c {}", Marks: command.Marks{Name: "vm1"}, Hooks: command.Hooks{Create: "a", Delete: "b"}},
		"template --ready: \"a | b\" has '|' outside":        {Exec: "sh -c {}", Hooks: command.Hooks{Ready: "a | b"}},
		"template --prepare: it has {bin}, which stands for": {Exec: "sh -c {}", Hooks: command.Hooks{Prepare: "{bin} x"}},
		"template --exec: it has {bin}, which stands for":    {Exec: "{bin} exec {}"},
		"template --copy: it has {bin}, which stands for":    {Exec: "sh -c {}", Copy: "{bin} cp {src} {dst}"},
	} {
		err := cfg.Check()
		require.ErrorIs(t, err, command.ErrTemplate, want)
		assert.ErrorContains(t, err, want)
	}
	require.NoError(t, command.Config{Exec: shell.Join("{bin}", "exec", "{}"), Marks: command.Marks{Bin: "x"}}.Check())
}
