package guest

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/record"
	"golang.org/x/sys/unix"
)

// maxHostAnswer bounds the host's line.
const maxHostAnswer = 200

// dropHost has the host drop its caches, where it can be asked, and notes in
// st what came of it. It comes after everything that reads a file.
func dropHost(st *record.Status) {
	address := os.Getenv(EnvHostCaches)
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
	st.Doubts = appendOnce(st.Doubts, fmt.Sprintf("the host's caches were not dropped (%s)", Printable(cmp.Or(reason, "no reason given"), maxHostAnswer)))
}

// hostWait is how long the host may take: dropping takes up to a second or
// two on a machine with much memory, and one that has been asked often waits
// another.
const hostWait = 30 * time.Second

// askHost connects and reads the answer.
func askHost(address string) (string, error) {
	network, rest, _ := strings.Cut(address, ":")
	switch network {
	case "unix":
		c, err := net.DialTimeout(network, rest, hostWait)
		if err != nil {
			return "", err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(hostWait))
		return answerOf(c)
	case "vsock":
		c, p, _ := strings.Cut(rest, ":")
		cid, err1 := strconv.ParseUint(c, 10, 32)
		port, err2 := strconv.ParseUint(p, 10, 32)
		if err1 == nil && err2 == nil {
			return askVsock(&unix.SockaddrVM{CID: uint32(cid), Port: uint32(port)})
		}
	}
	return "", fmt.Errorf("%s=%q is no address; want vsock:2:5004 or unix:/path", EnvHostCaches, address)
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
