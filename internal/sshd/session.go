package sshd

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/pkg/sftp"
	gossh "golang.org/x/crypto/ssh"
)

// Limits of one session's environment.
const (
	maxEnv      = 128
	maxEnvBytes = 64 << 10
)

// session is one session channel. Its requests come one after the other, in
// serve; the process that one of them starts runs beside that.
type session struct {
	cfg Config
	ch  gossh.Channel

	env      []string
	envBytes int
	term     *terminal // asked for by pty-req
	started  bool
	proc     *process // nil before exec or shell, and for sftp
	running  sync.WaitGroup
}

// The payloads of RFC 4254, section 6.
type (
	ptyRequest struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	windowChange struct{ Columns, Rows, Width, Height uint32 }
	envRequest   struct{ Key, Value string }
	exitStatus   struct{ Status uint32 }
	exitSignal   struct {
		Name    string // without SIG
		Core    bool
		Message string
		Lang    string
	}
)

// serve answers requests until the channel has ended, then kills what is left
// and waits for it.
func (s *session) serve(reqs <-chan *gossh.Request) {
	for req := range reqs {
		then, err := s.request(req)
		if err != nil && req.WantReply && (req.Type == "pty-req" || req.Type == "subsystem") {
			fmt.Fprintf(s.ch.Stderr(), "capsem-guest: %v\r\n", err)
		}
		if req.WantReply {
			_ = req.Reply(err == nil, nil)
		}
		if then != nil { // after the reply, for it may end the channel
			s.running.Go(then)
		}
	}
	if s.proc != nil {
		s.proc.kill()
	}
	_ = s.ch.Close()
	s.running.Wait()
	if s.term != nil {
		s.term.close()
	}
}

// request handles one request; then is what is to run for its session.
func (s *session) request(req *gossh.Request) (then func(), err error) {
	switch req.Type {
	case "exec", "shell", "subsystem":
		if s.started {
			return nil, fmt.Errorf("the session has its command already")
		}
		return s.start(req)
	case "env":
		var r envRequest
		if err := gossh.Unmarshal(req.Payload, &r); err != nil {
			return nil, err
		}
		return nil, s.setenv(r)
	case "pty-req":
		var r ptyRequest
		if err := gossh.Unmarshal(req.Payload, &r); err != nil {
			return nil, err
		}
		if s.started || s.term != nil {
			return nil, fmt.Errorf("too late for a terminal")
		}
		s.term, err = openTerminal(windowChange{r.Columns, r.Rows, r.Width, r.Height})
		if err != nil {
			return nil, err
		}
		s.env = append(s.env, "TERM="+clean(r.Term))
		return nil, nil
	case "window-change":
		var r windowChange
		if err := gossh.Unmarshal(req.Payload, &r); err != nil {
			return nil, err
		}
		if s.term == nil {
			return nil, fmt.Errorf("the session has no terminal")
		}
		return nil, s.term.resize(r)
	case "signal":
		var r struct{ Name string }
		if err := gossh.Unmarshal(req.Payload, &r); err != nil {
			return nil, err
		}
		if s.proc == nil {
			return nil, fmt.Errorf("nothing runs")
		}
		return nil, s.proc.signal(r.Name)
	}
	return nil, fmt.Errorf("no %s here", clean(req.Type))
}

// start starts the command or the subsystem. A program that cannot be started is
// reported as one that failed, with the shell's status for it, because a refused
// request carries no reason.
func (s *session) start(req *gossh.Request) (then func(), err error) {
	var r struct{ Value string }
	if req.Type != "shell" {
		if err := gossh.Unmarshal(req.Payload, &r); err != nil {
			return nil, err
		}
	}
	if req.Type == "subsystem" {
		if r.Value != "sftp" {
			return nil, fmt.Errorf("no subsystem %s here", clean(r.Value))
		}
		s.started = true
		return s.sftp, nil
	}
	s.started = true
	p, err := startProcess(s.cfg, req.Type, r.Value, s.env, s.term)
	if err != nil {
		return func() {
			fmt.Fprintf(s.ch.Stderr(), "capsem-guest: starting %s in %s: %v\r\n", s.cfg.Shell, s.cfg.Dir, err)
			s.exit(result{status: 127})
		}, nil
	}
	s.proc = p
	return func() { s.exit(p.run(s.ch)) }, nil
}

// exit reports how the process ended and closes the channel.
func (s *session) exit(r result) {
	if r.signal != "" {
		_, _ = s.ch.SendRequest("exit-signal", false, gossh.Marshal(&exitSignal{Name: r.signal, Core: r.core}))
	} else {
		_, _ = s.ch.SendRequest("exit-status", false, gossh.Marshal(&exitStatus{uint32(r.status)}))
	}
	_ = s.ch.Close()
}

// sftp serves files until the client ends it. The library's own working
// directory is not used: it would make the target of every link absolute.
func (s *session) sftp() {
	r := result{}
	server, err := sftp.NewServer(s.ch)
	if err == nil {
		if err = server.Serve(); err == io.EOF {
			err = nil
		}
	}
	if err != nil {
		r.status = 1
	}
	s.exit(r)
}

func (s *session) setenv(r envRequest) error {
	if r.Key == "" || strings.ContainsAny(r.Key, "=\x00") || strings.Contains(r.Value, "\x00") {
		return fmt.Errorf("not an environment variable: %q", clean(r.Key))
	}
	s.envBytes += len(r.Key) + len(r.Value)
	if len(s.env) >= maxEnv || s.envBytes > maxEnvBytes {
		return fmt.Errorf("too large an environment")
	}
	s.env = append(s.env, r.Key+"="+r.Value)
	return nil
}

// clean makes a short printable word of what a client sent.
func clean(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
}
