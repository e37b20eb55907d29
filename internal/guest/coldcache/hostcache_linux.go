package coldcache

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/internal/record"
	"golang.org/x/sys/unix"
)

// maxHostAnswer bounds the host's line.
const maxHostAnswer = 200

// dropHost has the host drop its caches, where it can be asked, and notes in
// st what came of it. It comes after everything that reads a file.
func dropHost(st *record.Status, address string) {
	if address == "" {
		return
	}
	line, err := askHost(address)
	verdict, reason, _ := strings.Cut(strings.TrimSpace(line), ": ")
	if err == nil && verdict == record.HostDropped {
		st.Host = record.HostDropped
		return
	}
	st.Host = record.HostKept
	if err != nil {
		reason = err.Error()
	}
	st.Doubts = append(st.Doubts, fmt.Sprintf("the host's caches were not dropped (%s)", record.Printable(cmp.Or(reason, "no reason given"), maxHostAnswer)))
}

// hostWait is how long the host may take: dropping takes up to a second or
// two on a machine with much memory, and one that has been asked often waits
// another.
const hostWait = 30 * time.Second

// askHost connects and reads the answer.
func askHost(address string) (string, error) {
	a, err := contract.ParseAddress(address)
	if err != nil {
		return "", err
	}
	if a.Network == contract.Vsock {
		return askVsock(&unix.SockaddrVM{CID: a.CID, Port: a.Port})
	}
	c, err := net.DialTimeout(a.Network, a.Name, hostWait)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(hostWait))
	return answerOf(c)
}

// askVsock is askHost over vsock(7), which package net does not know.
func askVsock(host unix.Sockaddr) (string, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "vsock")
	defer f.Close()
	limit := unix.NsecToTimeval(int64(hostWait))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return "", os.NewSyscallError("setsockopt", err)
	}
	for {
		if err = unix.Connect(fd, host); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return "", os.NewSyscallError("connect", err)
	}
	return answerOf(f)
}

func answerOf(r io.Reader) (string, error) {
	answer, err := io.ReadAll(io.LimitReader(r, maxHostAnswer))
	return string(answer), err
}
