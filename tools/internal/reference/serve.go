package reference

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/child"
)

// A Served is 'capsem-bench serve' in front of a hidden origin, with a session
// database.
type Served struct {
	Path       *Path  // its proxy; End ends it
	Gateway    string // its address, as CAPSEM_GATEWAY has it
	pid        int
	ended      <-chan error
	complaints *bytes.Buffer
	dir, db    string
}

// Serve starts the command's services. The caller calls End.
func (h *Hidden) Serve(ctx context.Context, command string) (s *Served, err error) {
	dir, err := os.MkdirTemp(h.w.Dir, "serve-")
	if err != nil {
		return nil, err
	}
	s = &Served{dir: dir, db: filepath.Join(dir, "session.db"), complaints: new(bytes.Buffer)}
	ca := filepath.Join(dir, "ca.pem")
	cmd := exec.CommandContext(ctx, command, "serve", "--json", "--allow", hiddenName, "--upstream", h.addr, "--upstream-ca", h.origin.CA,
		"--db", s.db, "--ca", ca)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = s.complaints
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = daemonGrace
	if s.ended, err = child.Start(cmd, syscall.SIGTERM); err != nil {
		return nil, err
	}
	s.pid = cmd.Process.Pid
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_, ended := s.End(ctx)
		return nil, fmt.Errorf("'capsem-bench serve' says nothing: %w", errors.Join(err, ended))
	}
	var at struct{ Proxy, Gateway string }
	if err := json.Unmarshal([]byte(line), &at); err != nil {
		return nil, err
	}
	s.Path = h.through("capsem-bench", strings.TrimPrefix(at.Proxy, "http://"), ca, func() error { return nil })
	s.Gateway = at.Gateway
	return s, nil
}

// Rows are what a session database has: requests, and calls of the gateway's
// tools.
type Rows struct{ Requests, Calls int64 }

// End stops the services and counts the rows in the database. An error means
// also that rows were dropped.
func (s *Served) End(ctx context.Context) (r Rows, err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	_ = syscall.Kill(s.pid, syscall.SIGTERM)
	select {
	case err = <-s.ended:
	case <-time.After(daemonGrace):
		child.KillGroup(s.pid)
		err = <-s.ended
	}
	if err != nil {
		return r, fmt.Errorf("'capsem-bench serve': %w: %s", err, bytes.TrimSpace(s.complaints.Bytes()))
	}
	db, err := session.Open(s.db)
	if err != nil {
		return r, err
	}
	defer db.Close()
	counts, err := db.Query(ctx, "SELECT (SELECT count(*) FROM net_events), (SELECT count(*) FROM mcp_calls WHERE tool_name IS NOT NULL)", session.QueryLimits{})
	if err != nil {
		return r, err
	}
	r.Requests, _ = counts.Rows[0][0].(int64)
	r.Calls, _ = counts.Rows[0][1].(int64)
	return r, nil
}

// Resident is the memory in bytes that the services have now (proc_pid_status(5)).
func (s *Served) Resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib << 10, nil
		}
	}
	return 0, errors.New("no VmRSS")
}
