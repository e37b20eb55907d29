package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/fit"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// TestMain runs the tests, or is the command when it is called by its name.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"capsem-bench": main, "capsem-bench-on": mainOn})
}

// mainOn is the command on a machine as a file says it is, for scripts that
// need a fit one or one that is not: capsem-bench-on FILE ARGUMENT...
func mainOn() {
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, term: newTerm(os.Stderr)}
	a.examine = func(context.Context, fit.Options) *fit.Report {
		r := new(fit.Report)
		text, err := os.ReadFile(os.Args[1])
		if err := errors.Join(err, json.Unmarshal(text, r)); err != nil {
			panic(err)
		}
		return r
	}
	os.Exit(a.run(context.Background(), os.Args[2:]))
}

// tests removes the binaries that were built for them.
type tests struct{ m *testing.M }

func (t tests) Run() int {
	status := t.m.Run()
	built.Range(func(_, once any) bool {
		if path, err := once.(func() (string, error))(); err == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
		return true
	})
	return status
}

// build compiles a binary once a test run.
func build(t testing.TB, name string, goArgs ...string) string {
	t.Helper()
	once, _ := built.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", "capsem-bench-test-")
		if err != nil {
			return "", err
		}
		out := filepath.Join(dir, name)
		last := len(goArgs) - 1
		cmd := exec.Command("go", append(goArgs[:last:last], "-o", out, goArgs[last])...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s", err, text)
		}
		return out, nil
	}))
	path, err := once.(func() (string, error))()
	require.NoError(t, err)
	return path
}

var built sync.Map

func guestBinary(t testing.TB) string {
	return build(t, "capsem-bench.test", "test", "-c", "github.com/capsem/capsem-bench")
}

func guestTools(t testing.TB) string {
	return build(t, "capsem-guest", "build", "github.com/capsem/capsem-bench/cmd/capsem-guest")
}

// TestScripts runs every page of testdata/script: the command as people type
// it, with what it prints and its exit status.
func TestScripts(t *testing.T) {
	guest, tools := guestBinary(t), guestTools(t)
	benchstat := build(t, "benchstat", "build", benchstatPath)
	cache := goCache(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("CAPSEM_BENCH_TEST", guest)
			env.Setenv("REAL_GUEST", guest) // for pages that set another
			env.Setenv("CAPSEM_GUEST", tools)
			env.Setenv("HOME", env.Getenv("WORK")+"/home")
			env.Setenv("GOCACHE", cache)
			env.Setenv("PATH", filepath.Dir(benchstat)+string(filepath.ListSeparator)+env.Getenv("PATH"))
			return errors.Join(os.Mkdir(env.Getenv("HOME"), 0o700), fakeBuild(env.Getenv("WORK")+"/fake"))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status":    scriptStatus,
			"lines":     scriptLines,
			"sessiondb": scriptSession,
			"boots":     scriptBoots,

			"printable":    scriptPrintable,
			"nothing-left": scriptNothingLeft,
		},
	})
}

// goCache is where go keeps what it built, for builds with another home.
func goCache(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// fakeBuild makes dir a build whose boots take no time.
func fakeBuild(dir string) error {
	script, err := os.ReadFile(filepath.Join("testdata", "fake-build"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, partCommand), script, 0o755)
}

// scriptStatus runs a program and holds its exit status to the first
// argument: status 2 capsem-bench convert no-such-file.
func scriptStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// scriptLines holds the number of lines of stdout or stderr: lines stderr 1.
func scriptLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lines stdout|stderr N")
	}
	text := ts.ReadFile(args[0])
	if got := strings.Count(text, "\n"); strconv.Itoa(got) != args[1] {
		ts.Fatalf("%s has %d lines, want %s:\n%s", args[0], got, args[1], text)
	}
}

// scriptSession makes a small session database: sessiondb FILE.
func scriptSession(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sessiondb FILE")
	}
	name := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(name), 0o755))
	w, err := session.Create(name)
	ts.Check(err)
	start := time.Unix(1_800_000_000, 0)
	w.MCPCall(session.MCPCall{Time: start.Add(time.Millisecond), Server: "gateway", Method: "initialize", Decision: "allowed", Duration: 100 * time.Microsecond})
	w.MCPCall(session.MCPCall{
		Time: start.Add(2 * time.Millisecond), Server: "builtin", Method: "tools/call", Tool: "snapshots_create",
		Decision: "allowed", Duration: 3 * time.Millisecond,
	})
	w.NetEvent(session.NetEvent{
		Time: start, Domain: "www.google.com", Port: 443, Decision: "allowed", Method: "GET", Path: "/", Status: 200,
		Received: 1000, Duration: 2 * time.Millisecond, RequestPreview: "\x1b[31mred\x07", ConnType: "https-mitm",
	})
	ts.Check(w.Close())
}
