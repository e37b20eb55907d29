package proxy

import (
	"io"
	"net/http"
	"sync"
)

// requestBody is a guest's body as the transport reads it, which may go on
// after the answer has ended. Closing it does not close the guest's: net/http
// has its own ideas about the rest.
type requestBody struct {
	guest io.Reader

	mu      sync.Mutex
	n       int64
	preview preview
	err     error // io.EOF: all of it was read
	closed  bool
}

func (b *requestBody) Read(p []byte) (int, error) {
	if b.isClosed() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.guest.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n += int64(n)
	b.preview.add(p[:n])
	if err != nil {
		b.err = err
	}
	return n, err
}

func (b *requestBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

func (b *requestBody) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// finished reports whether the body was read to its end.
func (b *requestBody) finished() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err == io.EOF
}

// failed returns what broke the body off, if anything has.
func (b *requestBody) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == io.EOF {
		return nil
	}
	return b.err
}

// sofar returns how much was read, and its beginning.
func (b *requestBody) sofar() (int64, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n, b.preview.text()
}
