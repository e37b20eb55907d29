// Package sshd is the SSH server of a guest. vm exec, vm shell and vm cp connect
// to it, and so do plain ssh, sftp and scp. It implements the connection
// protocol of RFC 4254 as far as sessions go: exec, shell, the sftp subsystem,
// terminals and their size, environment, signals, exit status and exit signal.
// Nothing is forwarded.
//
// It serves any net.Listener, so a guest without a network card listens on
// vsock. One key may log in, under any user name; everything runs as the user
// that the server runs as, which in a guest is root.
//
// A session is a session of the kernel too (setsid): when its command has
// ended, or the client is gone, its remaining processes are killed. A process that
// is to outlive its session is started with setsid(1). The client's
// terminal modes (stty) are not taken over; a terminal starts as the kernel
// makes it, with UTF-8 input.
package sshd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/capsem/capsem-bench/internal/vmconfig"
)

// Limits of one server. They are far above what tests and people need, and far
// below what a guest with 512 MiB of memory can bear.
const (
	maxConns    = 64
	maxSessions = 64 // of all connections together
)

const (
	idleTimeout    = 2 * time.Minute  // also the limit of a handshake; about 1 s on an emulated CPU
	keepalivePause = 30 * time.Second // so that a connection with a live peer is never idle
	keepaliveWait  = time.Minute
)

// A Config says who may log in and what sessions see.
type Config struct {
	AuthorizedKey []byte   // the key that may log in, as a line of authorized_keys
	HostKey       []byte   // private key, PEM
	Env           []string // of every session, as key=value; the client may add to it
	Dir           string   // where commands start; "" is /
	Shell         string   // runs commands with -c; "" is /bin/sh
	// Grace is how long a session waits for output after the end of its command;
	// 0 is 2 s.
	Grace time.Duration
}

// Serve serves connections until ctx ends or the listener fails, and closes
// the listener. When it returns, every session has ended and its processes are
// killed. The error is nil when ctx ended it.
//
// Relative names of sftp and scp start in the working directory of the process
// that calls Serve, which is why that process changes to Dir before.
//
// Serve starts processes and waits for each by its pid. A program that is also
// PID 1 must leave those to it: reap what waitid(2) with WNOWAIT reports only
// if the parent is not known here, or run Serve in a child process.
func Serve(ctx context.Context, ln net.Listener, cfg Config) error {
	s, err := newServer(cfg)
	if err != nil {
		_ = ln.Close()
		return err
	}
	limited := &limitListener{Listener: ln, open: make(map[*limitedConn]bool)}
	stop := context.AfterFunc(ctx, func() { _ = limited.Close() })
	defer stop()
	err = s.ssh.Serve(limited)
	s.closing()
	limited.closeConns()
	s.running.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("accepting ssh connections: %w", err)
}

// server is what the sessions of one Serve share.
type server struct {
	cfg     Config
	ssh     *ssh.Server
	slots   chan struct{}
	closed  chan struct{}
	mu      sync.Mutex // orders running.Add before the Wait of Serve
	running sync.WaitGroup
}

func newServer(cfg Config) (*server, error) {
	allowed, _, _, _, err := ssh.ParseAuthorizedKey(cfg.AuthorizedKey)
	if err != nil {
		return nil, fmt.Errorf("reading the authorized key: %w", err)
	}
	host, err := gossh.ParsePrivateKey(cfg.HostKey)
	if err != nil {
		return nil, fmt.Errorf("reading the host key: %w", err)
	}
	if cfg.Shell == "" {
		cfg.Shell = "/bin/sh"
	}
	if cfg.Dir == "" {
		cfg.Dir = "/"
	}
	s := &server{cfg: cfg, slots: make(chan struct{}, maxSessions), closed: make(chan struct{})}
	s.ssh = &ssh.Server{
		Version:     "capsem-guest",
		HostSigners: []ssh.Signer{host},
		IdleTimeout: idleTimeout,
		PublicKeyHandler: func(_ ssh.Context, key ssh.PublicKey) bool {
			return bytes.Equal(key.Marshal(), allowed.Marshal())
		},
		ChannelHandlers: map[string]ssh.ChannelHandler{"session": s.serveSession},
		RequestHandlers: map[string]ssh.RequestHandler{
			// An answer is all that the client's keepalive asks for.
			"keepalive@openssh.com": func(ssh.Context, *ssh.Server, *gossh.Request) (bool, []byte) { return true, nil },
			vmconfig.ClockRequest: func(ssh.Context, *ssh.Server, *gossh.Request) (bool, []byte) {
				return true, binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))
			},
		},
	}
	return s, nil
}

// enter counts a session in, unless there are too many or Serve is ending.
func (s *server) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		return errors.New("the server is ending")
	default:
	}
	select {
	case s.slots <- struct{}{}:
		s.running.Add(1)
		return nil
	default:
		return fmt.Errorf("there are already %d sessions", maxSessions)
	}
}

func (s *server) leave() {
	<-s.slots
	s.running.Done()
}

func (s *server) closing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.closed)
}

// serveSession accepts a session channel and serves it to its end.
func (s *server) serveSession(_ *ssh.Server, conn *gossh.ServerConn, offered gossh.NewChannel, ctx ssh.Context) {
	if err := s.enter(); err != nil {
		_ = offered.Reject(gossh.ResourceShortage, err.Error())
		return
	}
	defer s.leave()
	ch, reqs, err := offered.Accept()
	if err != nil {
		return
	}
	ended := make(chan struct{})
	defer close(ended)
	go watch(conn, ended)
	sess := &session{cfg: s.cfg, ch: ch}
	sess.serve(reqs)
}

// watch closes the connection of a client that no longer answers while it has
// a session: a write into a dead connection succeeds until buffers are full.
func watch(conn *gossh.ServerConn, ended <-chan struct{}) {
	tick := time.NewTicker(keepalivePause)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		deaf := time.AfterFunc(keepaliveWait, func() { _ = conn.Close() })
		_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
		deaf.Stop()
		if err != nil {
			return
		}
	}
}

// limitListener bounds the connections that are open at once, and knows them.
type limitListener struct {
	net.Listener
	mu   sync.Mutex
	open map[*limitedConn]bool
}

// Accept closes connections beyond the limit: if they waited, stalled connections
// of others would block the owner without an error.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		full := len(l.open) >= maxConns
		limited := &limitedConn{Conn: c, from: l}
		if !full {
			l.open[limited] = true
		}
		l.mu.Unlock()
		if !full {
			return limited, nil
		}
		_ = c.Close()
	}
}

// closeConns closes what is open, in a handshake or beyond it.
func (l *limitListener) closeConns() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		_ = c.Conn.Close()
	}
}

type limitedConn struct {
	net.Conn
	from *limitListener
}

func (c *limitedConn) Close() error {
	c.from.mu.Lock()
	delete(c.from.open, c)
	c.from.mu.Unlock()
	return c.Conn.Close()
}

// mergeEnv lets later settings of a variable replace earlier ones.
func mergeEnv(lists ...[]string) []string {
	var keys []string
	values := make(map[string]string)
	for _, list := range lists {
		for _, kv := range list {
			key, value, ok := strings.Cut(kv, "=")
			if !ok || key == "" {
				continue
			}
			if _, seen := values[key]; !seen {
				keys = append(keys, key)
			}
			values[key] = value
		}
	}
	out := make([]string, len(keys))
	for i, key := range keys {
		out[i] = key + "=" + values[key]
	}
	return out
}
