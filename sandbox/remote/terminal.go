package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"
)

// A Terminal is the user's own, to be that of a command in the guest.
type Terminal struct {
	Type    string // as in TERM
	size    func() (width, height int, err error)
	resized chan os.Signal
}

// OpenTerminal takes over the terminal at in and out: it is raw from now on, so
// that every key, ^C too, goes to the guest. restore puts it back and must be
// called.
func OpenTerminal(in, out *os.File) (t *Terminal, restore func(), err error) {
	if !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return nil, nil, errors.New("not a terminal")
	}
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, nil, err
	}
	t = &Terminal{
		Type:    os.Getenv("TERM"),
		size:    func() (int, int, error) { return term.GetSize(int(out.Fd())) },
		resized: make(chan os.Signal, 1),
	}
	signal.Notify(t.resized, syscall.SIGWINCH)
	return t, func() {
		signal.Stop(t.resized)
		_ = term.Restore(int(in.Fd()), state)
	}, nil
}

func (t *Terminal) request(s *ssh.Session) error {
	width, height, err := t.size()
	if err != nil {
		width, height = 80, 24
	}
	// OpenSSH takes speeds only together; the rest is the guest's choice.
	modes := ssh.TerminalModes{ssh.ECHO: 1, ssh.TTY_OP_ISPEED: 38400, ssh.TTY_OP_OSPEED: 38400}
	return s.RequestPty(t.Type, height, width, modes)
}

// follow tells the guest each new size until the command has ended.
func (t *Terminal) follow(s *ssh.Session, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-t.resized:
			if width, height, err := t.size(); err == nil {
				_ = s.WindowChange(height, width)
			}
		}
	}
}

// Escape returns a reader of what is typed, without the escape sequences of
// ssh(1): at the start of a line, ~. calls cancel, and ~~ is one ~. In a raw
// terminal this is the only way out of a guest that hangs but answers.
func Escape(in io.Reader, cancel context.CancelFunc) io.Reader {
	return &escape{in: in, cancel: cancel, lineStart: true}
}

type escape struct {
	in        io.Reader
	cancel    context.CancelFunc
	lineStart bool
	tilde     bool // one was typed and is held back
}

func (e *escape) Read(p []byte) (int, error) {
	if len(p) < 2 {
		return 0, io.ErrShortBuffer
	}
	// A tilde that is held back may come out before anything else.
	buf := make([]byte, len(p)-1)
	for {
		n, err := e.in.Read(buf)
		out := bytes.NewBuffer(p[:0])
		for _, c := range buf[:n] {
			if e.key(out, c) {
				e.cancel()
				return out.Len(), io.EOF
			}
		}
		if err != nil && e.tilde {
			e.tilde = false
			out.WriteByte('~')
		}
		if out.Len() > 0 || err != nil {
			return out.Len(), err
		}
	}
}

// key takes one byte and reports whether it completes the way out.
func (e *escape) key(out *bytes.Buffer, c byte) (end bool) {
	switch {
	case e.tilde && c == '.':
		return true
	case e.tilde:
		e.tilde = false
		out.WriteByte('~')
		if c == '~' {
			e.lineStart = false
			return false
		}
	case e.lineStart && c == '~':
		e.tilde = true
		return false
	}
	out.WriteByte(c)
	e.lineStart = c == '\r' || c == '\n'
	return false
}
