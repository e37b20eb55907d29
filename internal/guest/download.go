package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/capsem/capsem-bench/internal/record"
)

const (
	maxRedirects = 5
	maxLocation  = 8 << 10

	// DefaultStallTimeout is how long a download may bring less than one
	// buffer of 256 KiB: slower than 9 kB/s is a fault and no measurement.
	DefaultStallTimeout = 30 * time.Second

	// A reader is woken for 128 KiB at a time while more than 1 MiB is still
	// to come, which is more than all buffers on the way to it hold. After
	// that every byte wakes it, or it would wait for bytes that never come.
	bulkWake  = 128 << 10
	bulkFloor = 1 << 20
)

// A Download is one body, fetched and thrown away.
type Download struct {
	Start   time.Time
	Elapsed time.Duration // to the last byte of the body, redirects included
	Status  int           // 0: no answer
	Bytes   int64
	Digest  string // the algorithm that was checked, "" if the origin stated none
	Sized   bool   // the origin stated where the body ends

	unreadable bool // a digest was stated but could not be read
}

// Fetch downloads a URL once. The result is valid with an error too: it holds
// what was measured until then. Stall bounds the wait for the head and for
// each 256 KiB of the body; 0 means the default.
//
// The timer runs from before the connect to the last byte of the body. The
// digest is computed meanwhile, a costly one in another goroutine; its verdict
// may come after the timer has ended, and it turns the download into a failed
// one.
// Roots and proxy are read before the timer starts.
func Fetch(ctx context.Context, rawURL string, stall time.Duration) (*Download, error) {
	if stall <= 0 {
		stall = DefaultStallTimeout
	}
	client, err := NewHTTPClient(rawURL, stall, downloadHeader()...)
	if err != nil {
		return &Download{}, err
	}
	d := &Download{Start: time.Now()}
	err = d.follow(ctx, client)
	if d.Elapsed == 0 {
		d.Elapsed = time.Since(d.Start)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return d, err
}

// downloadHeader asks for the bytes as they are, and for a digest of them.
func downloadHeader() []string {
	return []string{"Accept-Encoding: identity", wantDigest, "Connection: close"}
}

// follow fetches the URL of the client and goes where it is sent.
func (d *Download) follow(ctx context.Context, client *HTTPClient) error {
	for range maxRedirects + 1 {
		location, err := d.fetch(ctx, client)
		if err != nil || location == "" {
			return err
		}
		target, err := redirectTarget(client.target, location)
		if err != nil {
			return err
		}
		if client, err = newHTTPClient(target, client.roots, client.timeout, downloadHeader()); err != nil {
			return err
		}
	}
	return fmt.Errorf("more than %d redirects", maxRedirects)
}

func redirectTarget(from *url.URL, location string) (*url.URL, error) {
	ref, err := url.Parse(location)
	if err != nil {
		return nil, errors.New("redirect to something that is no URL")
	}
	to := from.ResolveReference(ref)
	if from.Scheme == "https" && to.Scheme == "http" {
		return nil, errors.New("redirect from https to http, which is not followed")
	}
	return parseTarget(to.String())
}

// fetch does one GET. It returns where a redirect points to.
func (d *Download) fetch(ctx context.Context, client *HTTPClient) (location string, err error) {
	var stated statedDigests
	reader := newResponseReader(nil)
	reader.field = func(name, value []byte) {
		stated.see(name, value)
		if equalFold(name, "location") && len(value) <= maxLocation {
			location = string(value)
		}
	}
	conn, err := client.connect(ctx, time.Now().Add(client.timeout), reader)
	if err != nil {
		return "", named(client, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(client.timeout)); err != nil {
		return "", named(client, err)
	}
	if err := conn.send(client.request); err != nil {
		return "", named(client, err)
	}
	d.Status = reader.head.status
	switch {
	case d.Status >= 301 && d.Status <= 308 && d.Status != 304 && location != "":
		return location, nil
	case d.Status == 403:
		return "", errors.New("HTTP 403 (is the domain in the allow list?)")
	case d.Status != 200:
		return "", fmt.Errorf("HTTP %d", d.Status)
	}
	d.Sized, d.unreadable = reader.head.framing != byClose, stated.unreadable
	return "", d.body(conn, client.timeout, stated.choose())
}

// named says which host an error is about, in short.
func named(client *HTTPClient, err error) error {
	if reason := requestReason(err); reason != "other" {
		return fmt.Errorf("%s: %s", client.target.Host, reason)
	}
	return fmt.Errorf("%s: %w", client.target.Host, err)
}

// body reads the body to its end.
func (d *Download) body(conn *httpConn, stall time.Duration, sum *digest) error {
	err := d.stream(conn, stall, sum)
	switch {
	case err != nil:
		return d.bodyError(conn.reader.head, err, stall)
	case d.Bytes == 0:
		return errors.New("empty body")
	case sum == nil:
		return nil
	}
	d.Digest = sum.name
	return sum.check()
}

// stream reads buffer after buffer and has each hashed. It returns when all
// are hashed, but the timer stops before that.
func (d *Download) stream(conn *httpConn, stall time.Duration, sum *digest) (err error) {
	if conn.reader.left > bulkFloor {
		wakeAt(conn.socket, bulkWake)
	}
	if sum == nil || sum.quick {
		buf := make([]byte, downloadBuffer)
		for err == nil {
			var n int
			n, err = d.fillBuffer(conn, buf, stall)
			if sum != nil {
				_, _ = sum.Write(buf[:n])
			}
		}
	} else {
		h := newHasher(sum)
		defer h.close()
		for err == nil {
			var n int
			buf := h.buffer()
			n, err = d.fillBuffer(conn, buf, stall)
			h.full <- buf[:n]
		}
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// fillBuffer reads until the buffer is full or the body ends, and takes the
// time when it does.
func (d *Download) fillBuffer(conn *httpConn, buf []byte, stall time.Duration) (n int, err error) {
	if err := conn.SetDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	if conn.reader.left <= bulkFloor {
		wakeAt(conn.socket, 1)
	}
	for n < len(buf) && err == nil {
		var m int
		m, err = conn.reader.Read(buf[n:])
		n += m
	}
	d.Bytes += int64(n)
	if err != nil {
		d.Elapsed = time.Since(d.Start)
	}
	return n, err
}

// bodyError says how far a body came.
func (d *Download) bodyError(head responseHead, err error, stall time.Duration) error {
	of := ""
	if head.framing == byLength {
		of = fmt.Sprintf(" of %d", head.length)
	}
	switch reason := requestReason(err); reason {
	case "short body":
		return fmt.Errorf("body ended after %d%s bytes", d.Bytes, of)
	case "timeout":
		return fmt.Errorf("body stalled for %v after %d%s bytes", stall, d.Bytes, of)
	case "other":
		return fmt.Errorf("body broke off after %d%s bytes: %w", d.Bytes, of, err)
	default:
		return fmt.Errorf("body broke off after %d%s bytes: %s", d.Bytes, of, reason)
	}
}

// Samples are the values of the pass; rate and time only of a complete body.
func (d *Download) Samples(err error) record.Samples {
	s := record.Samples{StartNS: d.Start.UnixNano(), ElapsedNS: int64(d.Elapsed), Bytes: d.Bytes, HTTPCode: d.Status}
	if err != nil {
		s.Failed = 1
		return s
	}
	s.Count = 1
	s.Values = []int64{int64(d.Elapsed)}
	s.Metrics = map[string]float64{"ns/op": float64(d.Elapsed), "B/s": float64(d.Bytes) / d.Elapsed.Seconds()}
	return s
}

// Doubts are remarks that belong beside the figure of a complete body.
func (d *Download) Doubts() []string {
	var doubts []string
	if !d.Sized {
		doubts = append(doubts, "the origin stated no length: a cut body would look complete")
	}
	if d.unreadable {
		doubts = append(doubts, "the origin stated a digest that cannot be read")
	}
	return doubts
}
