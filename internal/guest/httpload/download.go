package httpload

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/url"
	"time"

	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/valyala/fasthttp"
)

const (
	// DefaultStallTimeout is how long a download may bring less than one
	// buffer of 256 KiB: slower than 9 kB/s is a fault and no measurement.
	DefaultStallTimeout = 30 * time.Second

	downloadBuffer = 256 << 10

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
	Digest  string // the algorithm that was checked, "" if the origin did not state it
	Sized   bool   // the origin stated where the body ends

	unreadable   bool   // a digest was stated but could not be read
	redirectedTo string // "" without a redirect
	builtIn      bool   // the stand-in's origin answered

	phases Phases
	first  time.Time // when the first byte of the answer came
	pace   pace
	usage  guest.Usage
}

// Fetch downloads a URL once. The result is valid with an error too: it holds
// what was measured until then. Stall bounds the wait for the head and for
// each 256 KiB of the body; 0 means the default.
//
// The timer runs from before the connect to the last byte of the body, with
// the redirects that were followed. Roots and proxy are read before it starts.
func Fetch(ctx context.Context, rawURL string, stall time.Duration) (*Download, error) {
	if stall <= 0 {
		stall = DefaultStallTimeout
	}
	client, err := New(rawURL, stall)
	if err != nil {
		return &Download{}, err
	}
	client.header = []field{{"Accept-Encoding", "identity"}, wantDigest, {"Connection", "close"}}
	w, err := client.newWorker(ctx)
	if err != nil {
		return &Download{}, err
	}
	defer w.close()
	usage := guest.StartUsage()
	d := &Download{Start: time.Now()}
	d.pace.start = d.Start
	err = d.fetch(w)
	d.usage = usage()
	if d.Elapsed == 0 {
		d.Elapsed = time.Since(d.Start)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return d, err
}

// fetch does the GET, checks the head of the answer and reads the body.
func (d *Download) fetch(w *worker) error {
	if err := w.get(); err != nil {
		return named(w.url, err)
	}
	if w.redirects > 0 {
		d.redirectedTo = record.Printable(w.url.Redacted(), 200)
	}
	d.builtIn = w.builtIn()
	d.phases, d.first = w.from.phases, w.firstByte()
	switch d.Status = w.response.StatusCode(); d.Status {
	case fasthttp.StatusOK:
	case fasthttp.StatusForbidden:
		return errors.New("HTTP 403 (is the domain in the allow list?)")
	default:
		return fmt.Errorf("HTTP %d", d.Status)
	}
	size := int64(w.response.Header.ContentLength())
	d.Sized = size != identityLength
	stated := readDigest(w.response.Header.PeekAll("Repr-Digest"))
	d.unreadable = stated.unreadable
	sum, err := d.read(w, size)
	switch {
	case err != nil:
		return d.bodyError(size, err, w.client.timeout)
	case d.Bytes == 0:
		return errors.New("empty body")
	case !stated.stated:
		return nil
	}
	d.Digest = digestName
	if sum != stated.sum {
		return errDigest
	}
	return nil
}

// identityLength is fasthttp's ContentLength of a body that ends with its
// connection.
const identityLength = -2

// named says which host an error is about, in short.
func named(u *url.URL, err error) error {
	var redirect *redirectError
	if errors.As(err, &redirect) {
		return err
	}
	if reason := requestReason(err); reason != "other" {
		return fmt.Errorf("%s: %s", u.Host, reason)
	}
	return fmt.Errorf("%s: %w", u.Host, err)
}

// read reads the body to its end, takes the time, and returns its CRC-32C. A
// size below 0 is not known.
func (d *Download) read(w *worker, size int64) (sum uint32, err error) {
	table := newDigest()
	buf := make([]byte, downloadBuffer)
	socket := w.from.conn
	if size > bulkFloor {
		wakeAt(socket.socket, bulkWake)
	}
	for err == nil {
		if err := socket.SetDeadline(time.Now().Add(w.client.timeout)); err != nil {
			return 0, err
		}
		if size-d.Bytes <= bulkFloor {
			wakeAt(socket.socket, 1)
		}
		n := 0
		for n < len(buf) && err == nil {
			var m int
			begin := time.Now()
			m, err = w.read(buf[n:])
			d.pace.add(begin, time.Now(), m)
			n += m
		}
		sum = crc32.Update(sum, table, buf[:n])
		d.Bytes += int64(n)
	}
	d.Elapsed = time.Since(d.Start)
	if err == io.EOF {
		err = nil
	}
	return sum, err
}

// bodyError says how far a body came.
func (d *Download) bodyError(size int64, err error, stall time.Duration) error {
	of := ""
	if size >= 0 {
		of = fmt.Sprintf(" of %d", size)
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
	s.Metrics = map[string]float64{
		"ns/op": float64(d.Elapsed), "B/s": float64(d.Bytes) / d.Elapsed.Seconds(),
		"stalls": float64(d.pace.stalls), "maxrss-B": float64(d.usage.PeakRSS),
	}
	s.CPUNS, s.PerSecond = int64(d.usage.CPU), d.pace.seconds
	if d.redirectedTo == "" { // else they are of the last connection alone
		d.phases.metrics(s.Metrics, 1)
		s.Metrics["ttfb-ns"] = float64(d.first.Sub(d.Start))
		s.Metrics["body-ns"] = float64(d.Elapsed - d.first.Sub(d.Start))
	}
	return s
}

// Doubts are remarks that belong beside the figure of a complete body.
func (d *Download) Doubts() []string {
	var doubts []string
	if d.builtIn {
		doubts = append(doubts, AnsweredByBuiltIn)
	}
	if doubt := d.usage.Doubt(d.Elapsed); doubt != "" {
		doubts = append(doubts, doubt)
	}
	if d.pace.stalls > 0 {
		doubts = append(doubts, fmt.Sprintf("no byte came for %v or more %d times, %v in all", stallAfter, d.pace.stalls, d.pace.stalled.Round(time.Millisecond)))
	}
	if !d.Sized {
		doubts = append(doubts, "the origin stated no length: a cut body would look complete")
	}
	if d.unreadable {
		doubts = append(doubts, "the origin stated a digest that cannot be read")
	}
	if d.redirectedTo != "" {
		doubts = append(doubts, "the time includes a redirect, to "+d.redirectedTo)
	}
	return doubts
}
