package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/capsem/capsem-bench/internal/testbuild"
	"github.com/capsem/capsem-bench/sandbox/command"
)

// soon is how long anything here may take on a busy machine.
const soon = time.Minute

// hard are arguments that go wrong in shells.
var hard = []string{
	"two words", "  ", "", "it's", `"`, "$HOME", "$(id)", "`id`", `back\slash`, "*", "-n", "line\nbreak", "日本", "a;b|c&d<e>(f)", "#", "{}", "{quoted}", "a=b",
}

// sandboxes are the guests that every test is made with.
func sandboxes(t *testing.T) map[string]command.Config {
	self, err := os.Executable()
	require.NoError(t, err)
	ssh := realSSH(t)
	own := ownSSH(t)
	all := map[string]command.Config{
		"directory":        {Exec: "sh -c {}", Copy: "cp {src} {dst}"},
		"stdin":            {Exec: "sh -c {}"},
		"larger word":      {Exec: `sh -c 'cd / && {}'`, Copy: "cp -- {src} {dst}"},
		"shell in shell":   {Exec: `sh -c "cd / && exec sh -c {quoted}"`, Copy: `sh -c 'cat "$1" >"$2"' copy {src} {dst}`},
		"ssh":              {Exec: ssh + " {}", Copy: strings.Replace(ssh, "ssh ", "scp ", 1) + ":{dst}"},
		"ssh, stdin":       {Exec: ssh + " {}"},
		"ssh, shell":       {Exec: ssh + " exec sh -c {quoted}"},
		"our server":       {Exec: own + " {}", Copy: strings.Replace(own, "ssh ", "scp ", 1) + ":{dst}"},
		"container":        {Exec: "unshare --user --map-root-user --mount --uts --ipc sh -c {}", Copy: "cp {src} {dst}"},
		"container, pids":  {Exec: "unshare --user --map-root-user --mount --pid --fork --mount-proc --kill-child sh -c {}"},
		"greeting":         {Exec: `sh -c 'echo Welcome.; exec sh -c {quoted}'`, Copy: "cp {src} {dst}"},
		"home only, by cp": {Exec: "sh -c {}", Copy: `sh -c 'cp "$1" "$HOME/${2#/}"' cp {src} {dst}`},
	}
	for name, cfg := range all {
		cfg.Binary = self
		cfg.Env = []string{"CAPSEM_BENCH_X=" + strings.Join(hard, "|")}
		cfg.Copy = strings.Replace(cfg.Copy, "guest:", "{src} guest:", 1)
		all[name] = cfg
	}
	return all
}

func TestRun(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	all := sandboxes(t)
	t.Cleanup(func() { // when all have ended
		home, err := os.ReadDir(os.Getenv("HOME"))
		require.NoError(t, err)
		assert.Empty(t, home)
	})
	for name, cfg := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, err := command.Open(t.Context(), cfg)
			require.NoError(t, err)
			var out, errs bytes.Buffer
			status, err := g.Run(t.Context(), append([]string{"show"}, hard...), &out, &errs)
			require.NoError(t, err)
			assert.Equal(t, 7, status, errs.String())
			assert.Contains(t, errs.String(), "a complaint\n")
			got := parseSeen(t, out.String())
			assert.Equal(t, append([]string{"show"}, hard...), got.Args)
			assert.Contains(t, got.Env, "CAPSEM_BENCH_X="+strings.Join(hard, "|"))
			assert.Contains(t, got.Env, "CAPSEM_BENCH_SANDBOX=command")
			assert.Regexp(t, `^/tmp/capsem-bench-[a-z0-9]{12}/capsem-bench\.test$`, got.Exe)
			dir := filepath.Dir(got.Exe)
			info, err := os.Stat(dir)
			require.NoError(t, err)
			assert.Equal(t, os.ModeDir|0o700, info.Mode(), "nobody else may put programs there")
			require.NoError(t, g.Close())
			assert.NoDirExists(t, dir)
		})
	}
}

// What a wrapper of the template prints before and after the command's output
// changes nothing: footers, escapes, prompts, with and without newlines.
func TestWrapperPrintsAround(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for _, around := range []string{
		`echo hello; eval "$1"; s=$?; echo connection closed; exit $s`,
		`printf '\033[0m'; eval "$1"; s=$?; printf '\033[0m'; exit $s`,
		`printf '$ '; eval "$1"; s=$?; printf '$ '; exit $s`,
		`eval "$1"; s=$?; echo 12345; exit $s`,
		`echo capsem-bench; eval "$1"; s=$?; printf 'x\ny\nz\n'; exit $s`,
	} {
		g, err := command.Open(t.Context(), command.Config{Exec: shell.Join("sh", "-c", around, "wrap") + " {}", Binary: self})
		if assert.NoError(t, err, around) {
			assert.NoError(t, g.Close())
		}
	}
}

// The guest's own reason is what is told, such as a full disk.
func TestFullDiskIsTheReason(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	// A file size limit stands for a disk without room.
	_, err = command.Open(t.Context(), command.Config{Exec: `sh -c 'ulimit -f 100; trap "" XFSZ; eval "$1"' limited {}`, Binary: self})
	require.ErrorContains(t, err, "File too large")
	assert.NotContains(t, err.Error(), "--copy")
}

func parseSeen(t *testing.T, out string) seen {
	t.Helper()
	var s seen
	i := strings.IndexByte(out, '{') // after a greeting
	require.GreaterOrEqual(t, i, 0, out)
	require.NoError(t, json.Unmarshal([]byte(out[i:]), &s), out)
	return s
}

func exeOf(t *testing.T, g *command.Guest) string {
	t.Helper()
	var out bytes.Buffer
	_, err := g.Run(t.Context(), []string{"show"}, &out, &bytes.Buffer{})
	require.NoError(t, err)
	return parseSeen(t, out.String()).Exe
}

// output is written by one and read by another goroutine.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs the guest binary and returns when it says that it is ready.
func start(t *testing.T, ctx context.Context, g *command.Guest, mode string) (out *output, pid int, wait func() (int, error)) {
	t.Helper()
	out = new(output)
	type end struct {
		status int
		err    error
	}
	ended := make(chan end, 1)
	go func() {
		status, err := g.Run(ctx, []string{mode}, out, &bytes.Buffer{})
		ended <- end{status, err}
	}()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "ready") && strings.HasSuffix(out.String(), "\n") }, soon, 5*time.Millisecond)
	_, number, _ := strings.Cut(out.String(), "ready ")
	pid, err := strconv.Atoi(strings.TrimSpace(number))
	require.NoError(t, err)
	return out, pid, func() (int, error) {
		select {
		case e := <-ended:
			return e.status, e.err
		case <-time.After(2 * soon):
			require.Fail(t, "it does not end")
			return 0, nil
		}
	}
}

// An interrupt reaches the guest binary, which may still say what it has.
func TestInterrupt(t *testing.T) {
	for name, cfg := range sandboxes(t) {
		if strings.HasSuffix(name, "stdin") || strings.HasPrefix(name, "greeting") || strings.HasPrefix(name, "home") {
			continue // the same to an interrupt as their neighbours
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg.Grace = soon
			g, err := command.Open(t.Context(), cfg)
			require.NoError(t, err)
			dir := filepath.Dir(exeOf(t, g))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out, pid, wait := start(t, ctx, g, "wait")
			cancel()
			status, err := wait()
			if name == "container, pids" { // the interrupt ended the template's program
				assert.ErrorIs(t, err, context.Canceled)
			} else {
				require.NoError(t, err)
				assert.Equal(t, 130, status)
				gone(t, pid)
			}
			assert.Contains(t, out.String(), "interrupted\n")
			require.NoError(t, g.Close())
			assert.NoDirExists(t, dir)
		})
	}
}

func gone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil || strings.Contains(string(text), ") Z ")
	}, soon, 10*time.Millisecond)
}

// A guest binary that ignores interrupts does not hold us, nor live on.
func TestDeaf(t *testing.T) {
	for name, cfg := range sandboxes(t) {
		if name != "directory" && name != "ssh" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg.Grace = 500 * time.Millisecond
			g, err := command.Open(t.Context(), cfg)
			require.NoError(t, err)
			dir := filepath.Dir(exeOf(t, g))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, pid, wait := start(t, ctx, g, "deaf")
			cancel()
			_, err = wait()
			require.ErrorContains(t, err, "did not end by itself")
			require.NoError(t, g.Close())
			gone(t, pid)
			assert.NoDirExists(t, dir)
		})
	}
}

// What cannot work is an error that says what to do, and leaves nothing.
func TestOpenFails(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755))
	other := testbuild.Build(t, "foreign", []string{"GOARCH=arm64"}, "build", "./testdata/foreign")
	if strings.Contains(machine(t), "aarch64") {
		other = text
	}
	for i, tt := range []struct {
		exec, copy, binary, dir string
		want                    string
	}{
		{"", "", "", "", "--exec: it is empty"},
		{"ssh vm", "", "", "", "has no {}"},
		{"ssh vm {} | tee", "", "", "", "outside of quotes"},
		{"{} now", "", "", "", "is no program"},
		{"sh -c {}", "cp {src} there", "", "", "has no {dst}"},
		{"sh -c {}", "cp {dst} there", "", "", "has no {src}"},
		{"sh -c {}", "cp '{src} {dst}", "", "", "has no closing '"},
		{"sh -c {}", "", "", "relative", "not an absolute path"},
		{"no-such-program {}", "", "", "", "no-such-program: not found on this machine"},
		{"sh -c {}", "no-such-program {src} {dst}", "", "", "no-such-program: not found on this machine"},
		{"nice {}", "", "", "", "exit status 126"},
		{"sh -c 'eval sh -c {}'", "", "", "", "exactly one shell"},
		{`sh -c 'eval "$1" | sed "s/^/  /"' wrap {}`, "", "", "", "changes what the command prints"},
		{`sh -c 'eval "$1" | sed "s/^/12:00:00 guest: /"' wrap {}`, "", "", "", "changes what the command prints"},
		{`sh -c 'eval "$1" | sed "s/$/ [out]/"' wrap {}`, "", "", "", "changes what the command prints"},
		{`sh -c 'eval "$1" | tr "\\t" " "' wrap {}`, "", "", "", `became "<tab here>\n"`},
		{"echo {}", "", "", "", "printed nothing"},
		{"true {}", "", "", "", "printed nothing"},
		{"sh -c 'exit 3' {}", "", "", "", "exit status 3"},
		{"sh -c 'echo no route >&2; exit 255' {}", "", "", "", "exit status 255: no route"},
		{"sh -c 'yes | head -c 1000000' {}", "", "", "", "printed more than 64 KiB"},
		{"script -qec {} /dev/null", "", "", "", "a terminal"},
		{"sh -c {}", "true {src} {dst}", "", "", "capsem-bench.test"},
		{"sh -c {}", "false {src} {dst}", "", "", "exit status 1"},
		{"sh -c {}", "sh -c 'head -c 100 \"$1\" >\"$2\"' cut {src} {dst}", "", "", `"100" of `},
		{"sh -c '{}' </dev/null", "", "", "", "outside of quotes"},
		{"sh -c '{ {} ; } </dev/null'", "", "", "", `"0" of `},
		{"sh -c {}", "", text, "", "no program for Linux"},
		{"sh -c {}", "", other, "", "another machine"},
		{"sh -c {}", "", "", "/proc", "name one with --guest-dir"},
		{"sh -c {}", "", "", "/no/such", "tried /no/such"},
	} {
		if tt.binary == other && other == text {
			continue
		}
		t.Run(strconv.Itoa(i), func(t *testing.T) { // its name is in that of the directory
			t.Parallel()
			if tt.binary == "" {
				tt.binary = self
			}
			dir := t.TempDir()
			if tt.dir == "" {
				tt.dir = dir
			}
			g, err := command.Open(t.Context(), command.Config{Exec: tt.exec, Copy: tt.copy, Binary: tt.binary, Dir: tt.dir})
			if !assert.ErrorContains(t, err, tt.want, tt.exec+" "+tt.copy) && err == nil {
				_ = g.Close()
			}
			isUsage := strings.Contains(err.Error(), "template --")
			assert.Equal(t, isUsage, errors.Is(err, command.ErrTemplate))
			assert.Empty(t, left(t, dir), tt.exec+" "+tt.copy)
		})
	}
}

func machine(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("uname", "-m").Output()
	require.NoError(t, err)
	return string(out)
}

// left lists what a guest left in the directory that it was given.
func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// An interrupt while a guest is being reached or copied to leaves nothing.
func TestInterruptedOpen(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for _, cfg := range []command.Config{
		{Exec: "sh -c 'sleep 100; {}'", Binary: self},
		{Exec: "sh -c {}", Copy: "sh -c 'sleep 100' {src} {dst}", Binary: self},
	} {
		cfg.Dir = t.TempDir()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := command.Open(ctx, cfg)
		cancel()
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Empty(t, left(t, cfg.Dir))
	}
}

// A program whose name means something to the copy template is renamed.
func TestOddNames(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	odd := filepath.Join(t.TempDir(), "odd name: 'x' $y")
	data, err := os.ReadFile(self)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(odd, data, 0o755))
	g, err := command.Open(t.Context(), command.Config{Exec: "sh -c {}", Copy: `sh -c "cp {src} {dst}"`, Binary: odd})
	require.NoError(t, err)
	defer g.Close()
	assert.NotEmpty(t, exeOf(t, g))
}

// The template's program dies: the guest binary does not live on after Close.
func TestLostConnection(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	pidFile := filepath.Join(t.TempDir(), "pid")
	// setsid takes the guest out of reach, as a network does.
	run := shell.Join("sh", "-c", `echo $$ >`+pidFile+`; exec setsid -w sh -c "$1"`, "run") + " {}"
	g, err := command.Open(t.Context(), command.Config{Exec: run, Binary: self})
	require.NoError(t, err)
	_, pid, wait := start(t, t.Context(), g, "wait")
	text, err := os.ReadFile(pidFile)
	require.NoError(t, err)
	host, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(host, syscall.SIGKILL))
	_, err = wait()
	assert.ErrorContains(t, err, "signal: killed")
	require.NoError(t, g.Close())
	gone(t, pid)
}
