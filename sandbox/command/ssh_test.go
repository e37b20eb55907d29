package command_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/capsem/capsem-bench/internal/sshd"
	"github.com/capsem/capsem-bench/sandbox/remote"
)

// keys are those of a server and of the one who may log in.
type keys struct {
	host, hostPublic, user, userPublic []byte
}

func newKeys(t *testing.T) (k keys) {
	t.Helper()
	var err1, err2 error
	k.host, k.hostPublic, err1 = remote.NewKey()
	k.user, k.userPublic, err2 = remote.NewKey()
	require.NoError(t, err1)
	require.NoError(t, err2)
	return k
}

// sshCommand returns the words "ssh -F config guest" for a server on loopback.
func sshCommand(t *testing.T, k keys, port int) string {
	t.Helper()
	dir := t.TempDir()
	who, err := user.Current()
	require.NoError(t, err)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	config := write("config", fmt.Sprintf(`Host guest
HostName 127.0.0.1
Port %d
User %s
IdentityFile %s
IdentitiesOnly yes
UserKnownHostsFile %s
StrictHostKeyChecking yes
BatchMode yes
LogLevel ERROR
`, port, who.Username, write("key", string(k.user)), write("known", fmt.Sprintf("[127.0.0.1]:%d %s", port, k.hostPublic))))
	return shell.Join("ssh", "-F", config, "guest")
}

// ownSSH starts our guest's SSH server.
func ownSSH(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("scp"); err != nil {
		t.Skip("no ssh and scp; install openssh-client")
	}
	k := newKeys(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- sshd.Serve(ctx, ln, sshd.Config{
			AuthorizedKey: k.userPublic, HostKey: k.host, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")},
		})
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return sshCommand(t, k, ln.Addr().(*net.TCPAddr).Port)
}

// realSSH has OpenSSH's server on loopback: a process a connection on a socket of
// ours, as inetd does. A free port that we name to it may be another's when it
// listens.
func realSSH(t *testing.T) string {
	t.Helper()
	const program = "/usr/sbin/sshd"
	if _, err := os.Stat(program); err != nil {
		t.Skip("no sshd; install openssh-server")
	}
	if os.Getuid() == 0 {
		require.NoError(t, os.MkdirAll("/run/sshd", 0o755)) // its chroot; a service would make it
	}
	k := newKeys(t)
	dir := t.TempDir()
	for name, data := range map[string][]byte{"host": k.host, "authorized": k.userPublic} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	config := filepath.Join(dir, "config")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `HostKey %s
AuthorizedKeysFile %s
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxStartups 100
Subsystem sftp internal-sftp
PermitUserEnvironment no
SetEnv HOME=%s
`, filepath.Join(dir, "host"), filepath.Join(dir, "authorized"), os.Getenv("HOME")), 0o600))
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return // closed
			}
			f, err := c.(*net.TCPConn).File()
			_ = c.Close()
			if assert.NoError(t, err) {
				cmd := exec.CommandContext(ctx, program, "-i", "-e", "-f", config)
				cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, log
				serving.Go(func() {
					defer f.Close()
					_ = cmd.Run()
				})
			}
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		cancel()
		serving.Wait()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("sshd: %s", text)
		}
	})
	return sshCommand(t, k, ln.Addr().(*net.TCPAddr).Port)
}
