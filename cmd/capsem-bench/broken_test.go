package main

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/host/upstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// listen serves each connection with f until the test ends.
func listen(t *testing.T, network, address string, f func(net.Conn)) net.Addr {
	t.Helper()
	ln, err := net.Listen(network, address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go f(c)
		}
	}()
	return ln.Addr()
}

// faultyOrigin returns the URL of an origin whose /fault/ paths fail.
func faultyOrigin(t *testing.T) string {
	t.Helper()
	origin, err := upstream.New(upstream.Config{Faults: true})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = origin.Serve(t.Context(), ln) }()
	return "http://" + ln.Addr().String()
}

// resets ends a connection as a crashed peer does.
func resets(c net.Conn) {
	_, _ = bufio.NewReader(c).ReadString('\n')
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

// diesMidCall answers the handshake and is gone when a tool is called.
func diesMidCall(c net.Conn) {
	defer c.Close()
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		var msg struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		line := strings.TrimLeft(lines.Text(), "\x00")
		if json.Unmarshal([]byte(line), &msg) != nil {
			continue // the metadata line
		}
		switch msg.Method {
		case "initialize":
			_, _ = c.Write([]byte(`{"jsonrpc":"2.0","id":` + string(msg.ID) + `,"result":{"capabilities":{},"protocolVersion":"2024-11-05","serverInfo":{"name":"x","version":"1"}}}` + "\n"))
		case "tools/call":
			return
		}
	}
}

// Whatever is broken says so, and everything else is measured.
func TestEverythingBroken(t *testing.T) {
	t.Parallel()
	proxy := listen(t, "tcp", "127.0.0.1:0", resets)
	socket := filepath.Join(t.TempDir(), "gateway")
	listen(t, "unix", socket, diesMidCall)
	readOnly := filepath.Join(t.TempDir(), "read-only")
	require.NoError(t, os.Mkdir(readOnly, 0o500))
	if os.Geteuid() == 0 { // to whom a mode says nothing
		readOnly = "/proc"
	}
	tr := newTrial(t, "CAPSEM_BENCH_DIR="+readOnly, "HTTPS_PROXY=http://"+proxy.String(), "CAPSEM_GATEWAY=unix:"+socket,
		"CAPSEM_BENCH_THROUGHPUT_URL="+faultyOrigin(t)+"/fault/half", "CAPSEM_BENCH_CLI_TIMEOUT=3s", "CAPSEM_BENCH_SNAPSHOT_TIMEOUT=30s")
	tr.program(t, "python3", "sleep 300 & sleep 300")
	tr.program(t, "codex", "echo 1.0")
	require.NoError(t, os.Symlink(guestTools(t), filepath.Join(tr.bin, "snapshots")))
	require.NoError(t, os.Symlink(guestTools(t), filepath.Join(tr.bin, "capsem-mcp-server")))
	assert.Equal(t, exitFailed, tr.run(t, "all"), tr.stderr.String())
	doc := tr.document(t).Additions
	assert.True(t, doc.Complete)
	assert.Empty(t, doc.Missing)
	for op, want := range map[string]opStatus{
		"disk/rand_write_4k": {"failed", `^cannot work in \S+: .*; set CAPSEM_BENCH_DIR to a writable directory$`, 0},
		"http/get":           {"failed", `^50 of 50 requests failed`, 0},
		"throughput/get":     {"failed", `8\.0 MiB|8388608|half|short|ended`, 0},
		"rootfs/seq_read":    {"ok", `^$`, 0},
		"startup/python3":    {"failed", `^python3 --version: timed out after 3s$`, 0},
		"startup/codex":      {"ok", `^$`, 0},
		"startup/gemini":     {"skipped", `^gemini is not in PATH$`, 0},
		"snapshot/10/create": {"failed", `^snapshots \S+: .*gateway`, 0},
	} {
		assert.Equal(t, want.Status, doc.Ops[op].Status, op)
		assert.Regexp(t, want.Reason, doc.Ops[op].Reason, op)
	}
	assert.Regexp(t, `(?m)^capsem-bench: not everything could be measured: Disk/op=seq_write/size=16MiB failed, .*, \d+ more$`, tr.stderr.String())
}

// An origin's answer that is no success is no figure either.
func TestOriginFaults(t *testing.T) {
	t.Parallel()
	origin := faultyOrigin(t)
	for path, reason := range map[string]string{
		"/fault/500":   `(status|HTTP) 500`,
		"/fault/reset": `reset|EOF|connection closed`,
	} {
		for _, args := range [][]string{{"throughput", origin + path}, {"http", origin + path, "4", "2"}} {
			tr := newTrial(t)
			assert.Equal(t, exitFailed, tr.run(t, args...), tr.stderr.String())
			op := tr.document(t).Additions.Ops[args[0]+"/get"]
			assert.Equal(t, "failed", op.Status)
			assert.Regexp(t, reason, op.Reason+tr.stdout.String())
		}
	}
}

// smallDisk mounts 8 MiB of memory and fills it but for some bytes.
func smallDisk(t *testing.T, free int64) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	dir := t.TempDir()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", dir).CombinedOutput()
	if err != nil {
		t.Skipf("no tmpfs can be mounted here: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 8<<20-free), 0o600))
	return dir
}

// A disk that fills up while the text is being written costs the file, not
// the measurement.
func TestResultsOnFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, 8<<10)
	tr := newTrial(t, "CAPSEM_BENCH_DIR="+t.TempDir())
	tr.program(t, "codex", "echo 1.0")
	out := filepath.Join(dir, "out")
	assert.Equal(t, exitUnfit, tr.run(t, "startup", "--count", "20", "--out", out), tr.stderr.String())
	doc := tr.document(t).Additions
	assert.True(t, doc.Complete)
	assert.Equal(t, opStatus{"ok", "", 20}, doc.Ops["startup/codex"])
	assert.Contains(t, tr.stderr.String(), "CLI Cold Start Latency")
	assert.Regexp(t, `(?m)^capsem-bench: write \S+/out/bench.txt: no space left on device$`, tr.stderr.String())
	assert.Contains(t, tr.stderr.String(), "writing "+filepath.Join(out, jsonName)+": no space left on device")
	files, err := filepath.Glob(filepath.Join(out, ".*"))
	require.NoError(t, err)
	assert.Empty(t, files, "half a file is left")
}

// With no room for the workspace the disk fails and the rest is measured.
func TestWorkspaceOnFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, 2<<20)
	tr := newTrial(t)
	tr.program(t, "codex", "echo 1.0")
	out := filepath.Join(dir, "out")
	assert.Equal(t, exitFailed, tr.run(t, "run", "--out", out, "disk", "startup", "http"), tr.stderr.String())
	doc := tr.document(t).Additions
	assert.Equal(t, "failed", doc.Ops["disk/seq_write"].Status)
	assert.Regexp(t, `has room for \S+ \S+, the benchmark needs .*; set CAPSEM_BENCH_DIR or CAPSEM_BENCH_SIZE_MB$`, doc.Ops["disk/seq_write"].Reason)
	assert.Equal(t, "ok", doc.Ops["startup/codex"].Status)
	assert.Equal(t, "ok", doc.Ops["http/get"].Status)
	for _, name := range []string{textName, jsonName, sessionName} {
		assert.FileExists(t, filepath.Join(out, name))
	}
}
