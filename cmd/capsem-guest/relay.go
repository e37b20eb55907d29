package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// socketTimeout is how long the gateway may stay silent while it owes an
// answer, and how long one write to it may take. Capsem sets the same 30 s on
// the socket itself, which also ends a session that is merely idle; here an
// idle session lives on.
const socketTimeout = 30 * time.Second

// maxMetaRequest is the longest line that is looked into to see whether it
// wants an answer or is one. A longer one is taken for it: notifications are
// short.
const maxMetaRequest = 64 << 10

// relay is the program capsem-mcp-server: it connects to the gateway,
// introduces the calling process and copies lines both ways. It returns 0 when
// stdin has ended and every request was answered, else 1 with a message on
// stderr.
func relay(ctx context.Context, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	if err := relayTo(ctx, getenv, stdin, stdout); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", relayName, err)
		return 1
	}
	return 0
}

func relayTo(ctx context.Context, getenv func(string) string, stdin io.Reader, stdout io.Writer) error {
	limit, err := durationSetting(getenv, envGatewayTimeout, 30*time.Second)
	if err != nil {
		return err
	}
	addr, err := parseAddress(getenv(envGateway))
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
	waiting int  // requests without a reply
	ended   bool // stdin has ended
	partial bool // in the midst of a line of the host's
}

// run introduces the process and copies until neither side owes anything. It
// does not wait for the host to close then: a vsock device that does not pass
// on the end of one half, as vhost-device-vsock, never tells the host that
// stdin has ended. Nor does it wait for stdin when the host has closed: a read
// of a terminal or pipe cannot be broken off.
func (s *session) run(process string, stdin io.Reader, stdout io.Writer) error {
	if err := s.write([]byte("\x00CAPSEM_META:" + process + "\n")); err != nil {
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
	r := bufio.NewReaderSize(stdin, maxMetaRequest)
	long := false // in the midst of a line that the buffer does not hold
	for {
		line, err := r.ReadSlice('\n')
		whole := err == nil
		if err == io.EOF && (len(line) > 0 || long) {
			line = append(bytes.Clone(line), '\n')
			whole = true
		}
		if whole && (long || wantsReply(line)) {
			s.expect()
		}
		if len(line) > 0 {
			if werr := s.write(line); werr != nil {
				s.conn.Close()
				return fmt.Errorf("sending a request: %w", cause(werr))
			}
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			long = true
		case err == io.EOF:
			return s.endOfInput()
		case err != nil:
			s.conn.Close()
			return fmt.Errorf("reading stdin: %w", err)
		default:
			long = false
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

// expect notes a request before it is sent, so that its reply cannot come first.
func (s *session) expect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting++
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
func (s *session) replied(lines int, partial bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = max(0, s.waiting-lines)
	s.partial = partial
	s.setDeadline()
}

// setDeadline limits the wait for the host while it owes an answer, or the
// rest of a line, and ends it when nothing is owed any more. The caller holds
// mu. A connection that is closed already reports that on the next read.
func (s *session) setDeadline() {
	var t time.Time
	switch {
	case s.waiting > 0 || s.ended && s.partial:
		t = time.Now().Add(s.timeout)
	case s.ended:
		t = time.Unix(1, 0)
	}
	_ = s.conn.SetReadDeadline(t)
}

// receive copies what the host says to stdout until the session is over.
func (s *session) receive(stdout io.Writer) error {
	buf := make([]byte, 64<<10)
	var in replies
	for {
		n, err := s.conn.Read(buf)
		if n > 0 {
			if _, werr := stdout.Write(buf[:n]); werr != nil {
				return fmt.Errorf("writing a reply to stdout: %w", werr)
			}
			s.replied(in.count(buf[:n]), buf[n-1] != '\n')
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

// done reports whether nothing is owed by either side.
func (s *session) done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended && s.waiting == 0 && !s.partial
}

// replies counts the replies among the lines of the host.
type replies struct {
	line []byte // its beginning
	long bool   // there is more of it than is kept
}

// count takes the next bytes and returns how many replies end in them.
func (r *replies) count(p []byte) (n int) {
	for {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		if r.long = r.long || len(r.line)+len(line) > maxMetaRequest; !r.long {
			r.line = append(r.line, line...)
		}
		if !whole {
			return n
		}
		if r.long || isReply(r.line) {
			n++
		}
		r.line, r.long, p = r.line[:0], false, rest
	}
}

// isReply reports whether a line is a reply, and not a request or a
// notification of the host's, which have a method. It is decoded only if it may
// be one of these: a name in a text within JSON has its quotes escaped.
func isReply(line []byte) bool {
	if len(bytes.TrimSpace(line)) == 0 {
		return false
	}
	if !bytes.Contains(line, []byte(`"method"`)) {
		return true
	}
	var m struct {
		Method *string `json:"method"`
	}
	return json.Unmarshal(line, &m) != nil || m.Method == nil
}

// closed judges the end of the connection by the host: it is a good one only
// after stdin has ended and when nothing is missing.
func (s *session) closed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.partial:
		return errors.New("connection closed in the middle of a reply")
	case s.waiting > 0:
		return fmt.Errorf("connection closed by the host; unanswered requests: %d", s.waiting)
	case !s.ended:
		return errors.New("connection closed by the host")
	}
	return nil
}

// wantsReply reports whether a line is a request. A notification has no id, a
// reply of the client no method. What is no JSON gets an error as its reply.
func wantsReply(line []byte) bool {
	if len(bytes.TrimSpace(line)) == 0 {
		return false
	}
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method *string         `json:"method"`
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return true
	}
	return m.ID != nil && m.Method != nil
}
