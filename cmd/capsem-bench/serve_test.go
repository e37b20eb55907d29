package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/host/upstream"
	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/internal/machine"
	"github.com/capsem/capsem-bench/internal/testbuild"
)

// A longer load: go test ./cmd/capsem-bench -run ServeUnderLoad -v -serve-load 10m -serve-conns 200
var (
	serveLoad  = flag.Duration("serve-load", time.Second, "how long serve is under load")
	serveConns = flag.Int("serve-conns", 40, "connections at a time, good and hostile ones")
)

// A serving is a process of serve.
type serving struct {
	t       testing.TB
	cmd     *exec.Cmd
	at      map[string]string
	db      string
	trusted *x509.CertPool
}

func startServe(t testing.TB, args ...string) *serving {
	t.Helper()
	dir := t.TempDir()
	s := &serving{t: t, db: filepath.Join(dir, "session.db")}
	workspace := filepath.Join(dir, "workspace")
	require.NoError(t, os.Mkdir(workspace, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(workspace, "file"), []byte("one"), 0o600))
	s.cmd = exec.Command(testbuild.Command(t), append([]string{"serve", "--json", "--workspace", workspace, "--db", s.db}, args...)...)
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	require.NoError(t, json.NewDecoder(out).Decode(&s.at))
	pem, err := os.ReadFile(s.at["ca"])
	require.NoError(t, err)
	s.trusted = x509.NewCertPool()
	require.True(t, s.trusted.AppendCertsFromPEM(pem))
	return s
}

// stop ends serve as a service manager does; the database is whole then.
func (s *serving) stop() *session.DB {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(s.t, s.cmd.Wait(), "status 0")
	assert.NoFileExists(s.t, s.db+"-wal")
	db, err := session.Open(s.db)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = db.Close() })
	return db
}

func (s *serving) count(db *session.DB, query string) int64 {
	s.t.Helper()
	res, err := db.Query(s.t.Context(), query, session.QueryLimits{})
	require.NoError(s.t, err)
	return res.Rows[0][0].(int64)
}

func (s *serving) dial(key string) (net.Conn, error) {
	at := s.at[key]
	network, name := "tcp", strings.TrimPrefix(at, "http://")
	if a, err := contract.ParseAddress(at); err == nil {
		network, name = a.Network, a.Name
	}
	c, err := net.Dial(network, name)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(time.Minute))
	}
	return c, err
}

func TestServe(t *testing.T) {
	t.Parallel()
	s := startServe(t, "--gateway", "unix:"+filepath.Join(t.TempDir(), "g"), "--dns", "127.0.0.1:0", "--allow", "only.test")
	proxy, err := http.NewRequest(http.MethodGet, s.at["proxy"], nil)
	require.NoError(t, err)
	tr := &http.Transport{Proxy: http.ProxyURL(proxy.URL), TLSClientConfig: &tls.Config{RootCAs: s.trusted}}
	defer tr.CloseIdleConnections()
	for url, want := range map[string]int{"https://only.test/": 200, "http://only.test/": 200, "https://www.google.com/": 403} {
		resp, err := (&http.Client{Transport: tr}).Get(url)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, want, resp.StatusCode, url)
	}
	assert.NotEmpty(t, s.at["dns"])
	own := s.at["ca"]
	c, err := s.dial("gateway")
	require.NoError(t, err)
	_, err = io.WriteString(c, contract.MetaLine("test")+`{"jsonrpc":"2.0","id":1,"method":"ping"}`+"\n")
	require.NoError(t, err)
	line, err := bufio.NewReader(c).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{}}`+"\n", line)
	require.NoError(t, c.Close())
	db := s.stop()
	assert.EqualValues(t, 3, s.count(db, "SELECT count(*) FROM net_events"))
	assert.EqualValues(t, 1, s.count(db, "SELECT count(*) FROM mcp_calls WHERE process_name = 'test'"))
	assert.NoFileExists(t, own, "what it made for itself is removed")
}

func TestServeRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "precious")
	require.NoError(t, os.WriteFile(file, []byte("text"), 0o600))
	for _, args := range [][]string{
		{"--workspace", file},
		{"--workspace", filepath.Join(dir, "none")},
		{"--db", file},
		{"--ca", file},
		{"--gateway", "vsock:2:5003"},
		{"--gateway", "Unix:/tmp/g"},
		{"--gateway", "/tmp/g"},
		{"--gateway", "pipe:/tmp/g"},
		{"--proxy", "nonsense"},
		{"--allow", "https://x/"},
		{"--upstream", "x"},
		{"--upstream", ":"},
		{"--upstream", ":8443"},
		{"--upstream", "127.0.0.1:0"},
		{"--upstream", "127.0.0.1:99999"},
		{"--upstream", "127.0.0.1:b"},
		{"--interval", "-5s"},
		{"--interval", "1ns"},
		{"--upstream-ca", file},
		{"--dns", "x"},
		{"argument"},
	} {
		out, err := exec.Command(testbuild.Command(t), append([]string{"serve"}, args...)...).CombinedOutput()
		var exited *exec.ExitError
		require.ErrorAs(t, err, &exited, "%q", args)
		assert.Equal(t, exitUsage, exited.ExitCode(), "%q: %s", args, out)
		assert.NotContains(t, string(out), "unknown port", "%q", args)
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "text", string(text))
}

// A certificate of somebody else is not replaced, nor through another name; one
// of an earlier serve is. A pipe is refused: opening it would wait for a reader.
func TestServeReplacesOnlyItsOwnCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	foreign, second, pipe := filepath.Join(dir, "bundle.pem"), filepath.Join(dir, "second.pem"), filepath.Join(dir, "pipe")
	s := startServe(t)
	own, err := os.ReadFile(s.at["ca"])
	require.NoError(t, err)
	origin, err := upstream.New(upstream.Config{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(foreign, origin.CAPEM(), 0o600))
	require.NoError(t, os.WriteFile(second, append(append([]byte{}, own...), origin.CAPEM()...), 0o600))
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	for _, name := range []string{foreign, second, pipe} {
		before, _ := os.Stat(name)
		out, err := exec.Command(testbuild.Command(t), "serve", "--ca", name).CombinedOutput()
		var exited *exec.ExitError
		require.ErrorAs(t, err, &exited, name)
		assert.Equal(t, exitUsage, exited.ExitCode(), "%s", out)
		after, err := os.Stat(name)
		require.NoError(t, err)
		assert.True(t, os.SameFile(before, after) && before.Size() == after.Size(), "%s is as it was", name)
	}
	ours := filepath.Join(dir, "ours.pem")
	require.NoError(t, os.WriteFile(ours, own, 0o600))
	again := startServe(t, "--ca", ours)
	replaced, err := os.ReadFile(ours)
	require.NoError(t, err)
	assert.NotEqual(t, own, replaced)
	again.stop()
	s.stop()
}

// What could not start leaves no database in the way of the next try.
func TestServeThatFailsLeavesNoDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := filepath.Join(dir, "session.db")
	taken := filepath.Join(dir, "taken") // by a file that is no socket
	require.NoError(t, os.WriteFile(taken, []byte("text"), 0o600))
	err := exec.Command(testbuild.Command(t), "serve", "--db", db, "--gateway", "unix:"+taken).Run()
	var exited *exec.ExitError
	require.ErrorAs(t, err, &exited)
	assert.Equal(t, exitUsage, exited.ExitCode())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, left, 1, "%v", left)
}

// A load is what its clients sent and were answered.
type load struct {
	*serving
	requests, calls, conns atomic.Int64
}

// The kinds of clients. Each does one connection's worth of work.
func (l *load) clients() []func() {
	talk := func(key, text string, answers int, counter *atomic.Int64, prefix string) {
		c, err := l.dial(key)
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
		r := bufio.NewReader(c)
		for range answers {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if strings.HasPrefix(line, prefix) {
				counter.Add(1)
			}
		}
	}
	plain := func(request string) func() {
		return func() { talk("proxy", request, 1, &l.requests, "HTTP/1.1 ") }
	}
	mcp := func(lines string, answers int) func() {
		return func() { talk("gateway", contract.MetaLine("load")+lines, answers, &l.calls, `{"jsonrpc":"2.0","id"`) }
	}
	call := func(tool, arguments string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"snapshots_%s","arguments":%s}}`+"\n", tool, arguments)
	}
	host := "Host: www.google.com\r\nConnection: close\r\n\r\n"
	return []func(){
		l.secure, l.secure, l.secure,
		plain("GET http://www.google.com/tiny HTTP/1.1\r\n" + host),
		plain("GET /%zz HTTP/1.1\r\n" + host),
		plain("GET /" + strings.Repeat("a", 70<<10) + " HTTP/1.1\r\n" + host),
		plain("GET http://evil.test/ HTTP/1.1\r\n" + host),
		plain("POST / HTTP/1.1\r\nTransfer-Encoding: odd\r\n" + host),
		plain("CONNECT www.google.com:0 HTTP/1.1\r\n" + host),
		func() { talk("proxy", "GET / HT", 0, nil, "") }, // and goes
		func() { talk("proxy", "\x16\x03\x01garbage", 0, nil, "") },
		mcp(call("list", `{"format":"json"}`)+call("changes", `{}`)+call("history", `{"path":"file"}`), 3),
		mcp(call("create", `{"name":"load"}`)+call("delete", `{"checkpoint":"cp-10"}`)+call("revert", `{"path":"file"}`), 3),
		mcp(call("nonesuch", `{}`), 1),
		mcp("{\n[]\n\x00\n"+strings.Repeat("[", 100_000)+"\n", 4),
		mcp(call("list", "{}"), 0), // does not wait
	}
}

// secure makes 20 requests over one tunnel.
func (l *load) secure() {
	raw, err := l.dial("proxy")
	if err != nil {
		return
	}
	defer raw.Close()
	if _, err := io.WriteString(raw, "CONNECT www.google.com:443 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return
	}
	answer := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))
	if _, err := io.ReadFull(raw, answer); err != nil {
		return
	}
	c := tls.Client(raw, &tls.Config{RootCAs: l.trusted, ServerName: "www.google.com"})
	r := bufio.NewReader(c)
	for range 20 {
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: www.google.com\r\n\r\n"); err != nil {
			return
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return
		}
		l.requests.Add(1)
	}
}

// usage returns the resident memory of the process in MiB, and its descriptors.
func (l *load) usage() (mib, files int) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.cmd.Process.Pid))
	resident, _ := machine.Kilobytes(status, "VmRSS:")
	open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", l.cmd.Process.Pid))
	return int(resident >> 20), len(open)
}

// Under good and hostile clients at once memory and descriptors stay flat, and
// every request that was answered is a row.
func TestServeUnderLoad(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc to read memory and descriptors from; run it on Linux")
	}
	l := &load{serving: startServe(t)}
	clients := l.clients()
	var over atomic.Bool
	var running sync.WaitGroup
	for i := range *serveConns {
		running.Go(func() {
			for n := i; !over.Load(); n++ {
				clients[n%len(clients)]()
				l.conns.Add(1)
			}
		})
	}
	half, peak, peakFiles := 0, 0, 0
	begin, end := time.Now(), time.Time{}
	tick := time.NewTicker(*serveLoad / 60)
	for now := range tick.C {
		mib, files := l.usage()
		peak, peakFiles = max(peak, mib), max(peakFiles, files)
		if end.IsZero() && now.Sub(begin) > *serveLoad/2 && l.conns.Load() > int64(2**serveConns) {
			half, end = peak, now.Add(*serveLoad/2) // the first half has every kind of client, however busy the machine is
		}
		if !end.IsZero() && now.After(end) {
			break
		}
	}
	over.Store(true)
	tick.Stop()
	running.Wait()
	var rest int
	// What the proxy keeps to the origin, both ends of it in one process, stays for a while.
	require.Eventually(t, func() bool { _, rest = l.usage(); return rest <= 4**serveConns+100 }, time.Minute, 10*time.Millisecond, "descriptors are given back")
	db := l.stop()
	requests := l.count(db, "SELECT count(*) FROM net_events WHERE status_code IS NOT NULL")
	calls := l.count(db, "SELECT count(*) FROM mcp_calls")
	t.Logf("%v, %d clients at a time: %d connections, %d answered requests (%d rows), %d answered calls (%d rows); %d MiB at half, %d MiB and %d descriptors at most, %d at the end",
		*serveLoad, *serveConns, l.conns.Load(), l.requests.Load(), requests, l.calls.Load(), calls, half, peak, peakFiles, rest)
	assert.Positive(t, l.requests.Load())
	assert.Positive(t, l.calls.Load())
	assert.GreaterOrEqual(t, requests, l.requests.Load())
	assert.GreaterOrEqual(t, calls, l.calls.Load())
	assert.LessOrEqual(t, peak, half+half/4+64, "memory is flat in the second half")
	assert.LessOrEqual(t, peakFiles, 6**serveConns+100)
}
