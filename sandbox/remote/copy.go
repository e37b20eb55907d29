package remote

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/pkg/sftp"
)

// maxDepth bounds a tree: PATH_MAX allows 2048 levels, trees of people have 20.
const maxDepth = 256

// maxListing bounds the listing of one directory, in bytes on the wire: about
// 300,000 files. It is held in memory.
const maxListing = 64 << 20

// maxFiles bounds the files and directories that a guest sends in one copy, as a
// snapshot of a workspace does.
const maxFiles = 1 << 20

// A Copied says what a copy did.
type Copied struct {
	Files    int
	Bytes    int64
	Warnings []string // what was left out, and why
}

func (c *Copied) warn(format string, args ...any) {
	if len(c.Warnings) < 100 {
		c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...))
	}
}

// files is an sftp session.
type files struct {
	*sftp.Client
	meter *meter
}

// files opens an sftp session. It ends with ctx: what waits in it then fails.
func (c *Client) files(ctx context.Context) (f *files, closeFiles func(), err error) {
	s, err := c.ssh.NewSession()
	if err != nil {
		return nil, nil, fmt.Errorf("opening a session: %w", err)
	}
	in, err1 := s.StdinPipe()
	out, err2 := s.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		_ = s.Close()
		return nil, nil, err
	}
	if err := s.RequestSubsystem("sftp"); err != nil {
		_ = s.Close()
		return nil, nil, fmt.Errorf("the guest's SSH server has no sftp: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	m := &meter{r: out}
	client, err := sftp.NewClientPipe(m, in, sftp.UseConcurrentWrites(true))
	if err != nil {
		stop()
		_ = s.Close()
		return nil, nil, fmt.Errorf("starting sftp: %w", err)
	}
	return &files{client, m}, func() {
		stop()
		_ = client.Close()
		_ = s.Close()
	}, nil
}

// copied adds the reason for which a copy was broken off to its error.
func (c *Client) copied(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return c.why(err)
}

// meter bounds what is read while a limit is set: the sftp client collects a
// listing whole, however long the guest makes it.
type meter struct {
	r    io.Reader
	left atomic.Int64 // 0 is no limit
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if left := m.left.Load(); left > 0 {
		if left -= int64(n); left <= 0 {
			return n, errors.New("a directory has too many files")
		}
		m.left.Store(left)
	}
	return n, err
}

// limited runs f while no more than the given number of bytes may come.
func (m *meter) limited(n int64, f func() error) error {
	m.left.Store(n)
	err := f()
	if m.left.Load() > 0 {
		m.left.Store(0)
	}
	return err
}

// partName is the name of a file while it is not complete.
func partName(name string) string { return "." + shorten(name) + "." + rand.Text()[:8] + ".part" }

// shorten leaves room for what is added: a name has at most 255 bytes.
func shorten(name string) string { return strings.ToValidUTF8(name[:min(len(name), 200)], "") }
