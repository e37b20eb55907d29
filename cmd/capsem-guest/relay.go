package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/capsem/capsem-bench/internal/contract"
)

// socketTimeout is how long the gateway may stay silent while it owes an
// answer, and how long one write to it may take. Capsem sets the same 30 s on
// the socket itself, which also ends a session that is merely idle; here an
// idle session lives on.
const socketTimeout = 30 * time.Second

// maxRequest is the longest line that the relay reads the id of. The gateway
// answers a longer one with an error that names no id.
const maxRequest = 2 << 20

// unsureWait is how long the relay waits, after the end of stdin, for an answer
// that need not come: Capsem's gateway answers notifications that it does not
// know, others do not.
const unsureWait = 250 * time.Millisecond

// relay is the program capsem-mcp-server: it connects to the gateway,
// introduces the calling process and copies lines both ways. It returns 0 when
// stdin has ended and every request was answered, else 1 with a message on
// stderr.
func relay(ctx context.Context, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	if err := relayTo(ctx, getenv, stdin, stdout); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", contract.Relay, err)
		return 1
	}
	return 0
}

func relayTo(ctx context.Context, getenv func(string) string, stdin io.Reader, stdout io.Writer) error {
	limit, err := durationSetting(getenv, contract.EnvGatewayTimeout, 30*time.Second)
	if err != nil {
		return err
	}
	addr, err := gatewayAddress(getenv)
	if err != nil {
		return err
	}
	c, err := connect(ctx, addr, limit)
	if err != nil {
		return err
	}
	defer c.Close()
	s := &session{conn: c, timeout: socketTimeout}
	if err := s.run(processName(os.Getppid()), stdin, stdout); err != nil {
		return fmt.Errorf("gateway at %s: %w", addr, err)
	}
	return nil
}

// A session is one connection to the gateway. Two goroutines share it: one
// sends what stdin says, the other copies the replies.
type session struct {
	conn    conn
	timeout time.Duration

	mu      sync.Mutex
	owed    debts
	ended   bool // stdin has ended
	partial bool // the last line of the host is not complete
}

// run introduces the process and copies until neither side owes anything. It
// does not wait for the host to close then: a vsock device that does not pass
// on the end of one half, as vhost-device-vsock, never tells the host that
// stdin has ended. Nor does it wait for stdin when the host has closed: a read
// of a terminal or pipe cannot be broken off.
func (s *session) run(process string, stdin io.Reader, stdout io.Writer) error {
	if err := s.write([]byte(contract.MetaLine(process))); err != nil {
		return fmt.Errorf("sending the metadata line: %w", cause(err))
	}
	sent := make(chan error, 1)
	go func() { sent <- s.send(stdin) }()
	err := s.receive(stdout)
	select {
	case sendErr := <-sent:
		if sendErr != nil {
			return sendErr
		}
	default:
	}
	return err
}

// send copies stdin line by line and then closes the sending half. A last line
// without a newline gets one, or the gateway would never see its end. A failed
// send closes the connection, so that receive returns too.
func (s *session) send(stdin io.Reader) error {
	r := bufio.NewReaderSize(stdin, 64<<10)
	var line []byte // what was sent of the current line, up to maxRequest and some
	for {
		part, err := r.ReadSlice('\n')
		if len(line) <= maxRequest {
			line = append(line, part...)
		}
		if err == io.EOF && len(line) > 0 {
			part, line = append(bytes.Clone(part), '\n'), append(line, '\n')
		}
		if err == nil || err == io.EOF {
			s.expect(line)
			line = line[:0]
		}
		if len(part) > 0 {
			if werr := s.write(part); werr != nil {
				s.conn.Close()
				return fmt.Errorf("sending a request: %w", cause(werr))
			}
		}
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case err == io.EOF:
			return s.endOfInput()
		default:
			s.conn.Close()
			return fmt.Errorf("reading stdin: %w", err)
		}
	}
}

func (s *session) write(p []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(p)
	return err
}

// expect notes what a line asks for before its end is sent, so that the reply
// cannot come first.
func (s *session) expect(line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owed.request(line)
	s.setDeadline()
}

// endOfInput tells the host that nothing more will come.
func (s *session) endOfInput() error {
	s.mu.Lock()
	s.ended = true
	s.setDeadline()
	s.mu.Unlock()
	// A host that has closed already is no error here; receive knows whether
	// it owed anything.
	_ = s.conn.CloseWrite()
	return nil
}

// replied notes what came from the host.
func (s *session) replied(replies []hostLine, partial bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range replies {
		s.owed.reply(r)
	}
	s.partial = partial
	s.setDeadline()
}

// setDeadline limits the wait for the host while it owes an answer, or the
// rest of a line, and ends it when nothing is owed any more. The caller holds
// mu. A connection that is closed already reports that on the next read.
func (s *session) setDeadline() {
	var t time.Time
	switch {
	case s.owed.any() || s.ended && s.partial:
		t = time.Now().Add(s.timeout)
	case s.ended && s.owed.unsure > 0:
		t = time.Now().Add(min(unsureWait, s.timeout))
	case s.ended:
		t = time.Unix(1, 0)
	}
	_ = s.conn.SetReadDeadline(t)
}

// receive copies what the host says to stdout until the session is over.
func (s *session) receive(stdout io.Writer) error {
	buf := make([]byte, 64<<10)
	var in replyScanner
	for {
		n, err := s.conn.Read(buf)
		if n > 0 {
			if _, werr := stdout.Write(buf[:n]); werr != nil {
				return fmt.Errorf("writing a reply to stdout: %w", werr)
			}
			s.replied(in.scan(buf[:n]), buf[n-1] != '\n')
		}
		switch {
		case err == io.EOF:
			return s.closed()
		case errors.Is(err, os.ErrDeadlineExceeded) && s.done():
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("no answer within %v", s.timeout)
		case err != nil:
			return fmt.Errorf("connection lost: %w", cause(err))
		}
	}
}

// done reports whether neither side has to say anything more. It is asked when
// the wait is over: a cancelled request need not be answered then.
func (s *session) done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended && s.owed.count() == 0 && !s.partial
}

// closed judges the end of the connection by the host: it is a good one only
// after stdin has ended and when nothing is missing.
func (s *session) closed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.partial:
		return errors.New("connection closed in the middle of a reply")
	case s.owed.count() > 0:
		return fmt.Errorf("connection closed by the host; unanswered requests: %d", s.owed.count())
	case !s.ended:
		return errors.New("connection closed by the host")
	}
	return nil
}
