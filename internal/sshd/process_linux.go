package sshd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// newSession makes the command the leader of a new session, whose terminal is
// its stdin if it has one.
func newSession(cmd *exec.Cmd, terminal bool) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: terminal}
	return nil
}

// awaitEnd returns when the process has ended, and leaves it to be reaped.
func awaitEnd(pid int) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// killSession kills the process group of the leader and every other process of
// its session: a shell with job control puts each job into a group of its own.
// A process may fork while the list is read, so it is read until it is empty.
func killSession(leader int) {
	_ = unix.Kill(-leader, unix.SIGKILL)
	for range 16 {
		pids := sessionMembers(leader)
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// sessionMembers lists the living processes of a session without its leader.
func sessionMembers(leader int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == leader {
			continue
		}
		if state, sid := statOf(pid); sid == leader && state != 'Z' && state != 'X' {
			pids = append(pids, pid)
		}
	}
	return pids
}

// statOf reads the state and the session of a process (proc(5), stat). The
// command in parentheses may hold anything, so fields count from the last one.
func statOf(pid int) (state byte, session int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 4 {
		return 0, 0
	}
	session, _ = strconv.Atoi(string(fields[3]))
	return fields[0][0], session
}

// signalGroup sends a signal to the process group of the leader.
func signalGroup(leader int, name string) error {
	sig := unix.SignalNum("SIG" + strings.ToUpper(name))
	if sig == 0 {
		return fmt.Errorf("no signal %s", clean(name))
	}
	return unix.Kill(-leader, sig)
}

func resultOf(state *os.ProcessState) result {
	if state == nil { // somebody else reaped it
		return result{status: 255}
	}
	ws, ok := state.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		name := strings.TrimPrefix(unix.SignalName(ws.Signal()), "SIG")
		if name == "" {
			name = "KILL" // real-time signals have no name
		}
		return result{signal: name, core: ws.CoreDump()}
	}
	return result{status: state.ExitCode()}
}
