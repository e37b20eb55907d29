package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/hostcheck"
	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/testbuild"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// TestMain runs the tests, or is the command when it is called by its name.
// More of them than there are processors run at once: many wait for a guest
// that hangs, and use none meanwhile.
// They spare the caches of what else runs here, unless they boot VMs.
func TestMain(m *testing.M) {
	if os.Getenv(catalogue.EnvDropped) == "" {
		_ = os.Setenv(catalogue.EnvDropped, catalogue.DroppedFiles)
	}
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = flag.Set("test.parallel", "4")
	}
	testscript.Main(m, map[string]func(){"capsem-bench": mainHere, "capsem-bench-on": mainOn, "capsem-bench-hasty": mainHasty, "capsem-bench-mac": mainMac})
}

// mainHere is the command, on the machine that the file TEST_MACHINE describes
// where there is one: to look at this one before every boot takes 0.3 s.
func mainHere() {
	a := newApp(os.Stdin, os.Stdout, os.Stderr)
	if file := os.Getenv("TEST_MACHINE"); file != "" {
		a.examine = machineOf(file)
	}
	os.Exit(a.runUntilSignal(os.Args[1:]))
}

// fitMachine is the report of a machine that is fit to measure on.
const fitMachine = `{"machine": {"type": "machine", "time": 1800000000, "burn_ns": 31000000}}`

// machineOf returns what examines a machine by reading the report in file.
func machineOf(file string) func(context.Context, hostcheck.Options) *hostcheck.Report {
	return func(context.Context, hostcheck.Options) *hostcheck.Report {
		r := new(hostcheck.Report)
		text, err := os.ReadFile(file)
		if err := errors.Join(err, json.Unmarshal(text, r)); err != nil {
			panic(err)
		}
		return r
	}
}

// mainHasty is the command that gives others 0.3 s where it gives them 10 s.
func mainHasty() {
	a := newApp(os.Stdin, os.Stdout, os.Stderr)
	a.grace = 300 * time.Millisecond
	os.Exit(a.runUntilSignal(os.Args[1:]))
}

// mainMac is the command as it is on a Mac: this system is none.
func mainMac() {
	a := newApp(os.Stdin, os.Stdout, os.Stderr)
	a.system = "darwin"
	os.Exit(a.runUntilSignal(os.Args[1:]))
}

// mainOn is the command on a machine as a file says it is, for scripts that
// need a fit one or one that is not: capsem-bench-on FILE ARGUMENT...
func mainOn() {
	a := newApp(os.Stdin, os.Stdout, os.Stderr)
	a.examine = machineOf(os.Args[1])
	os.Exit(a.runUntilSignal(os.Args[2:]))
}

func guestBinary(t testing.TB) string { return testbuild.Guest(t) }

func guestTools(t testing.TB) string { return testbuild.Tools(t) }

// TestScripts runs every page of testdata/script: the command as people type
// it, with what it prints and its exit status.
func TestScripts(t *testing.T) {
	t.Parallel()
	guest, tools := guestBinary(t), guestTools(t)
	fake := fakeGuest(t)
	benchstat := testbuild.Build(t, "benchstat", nil, "build", benchstatPath)
	cache := goCache(t)
	root, err := testbuild.Root()
	require.NoError(t, err)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", root)
			env.Setenv("CAPSEM_BENCH_TEST", guest)
			env.Setenv("REAL_GUEST", guest) // for pages that set another
			env.Setenv("FAKE_GUEST", fake)
			env.Setenv("CAPSEM_GUEST", tools)
			env.Setenv(catalogue.EnvDropped, os.Getenv(catalogue.EnvDropped))
			env.Setenv("HOME", env.Getenv("WORK")+"/home")
			env.Setenv("GOCACHE", cache)
			env.Setenv("PATH", filepath.Dir(benchstat)+string(filepath.ListSeparator)+env.Getenv("PATH"))
			return errors.Join(os.Mkdir(env.Getenv("HOME"), 0o700), fakeBuild(env.Getenv("WORK")+"/fake"))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status":       scriptStatus,
			"lines":        scriptLines,
			"narrower":     scriptNarrower,
			"sessiondb":    scriptSession,
			"boots":        scriptBoots,
			"fake-history": scriptHistory,
			"sqlite":       scriptSQLite,

			"page-commands": scriptPageCommands,
			"github-api":    scriptGitHub,
			"printable":     scriptPrintable,
			"nothing-left":  scriptNothingLeft,
			"schema":        scriptSchema,
		},
	})
}

// fakeGuest is a guest binary whose operations take no time.
func fakeGuest(t testing.TB) string {
	return testbuild.Build(t, "fake-guest", nil, "build", "github.com/capsem/capsem-bench/cmd/capsem-bench/testdata/fake-guest")
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
