package httpload

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strings"
	"syscall"

	"github.com/capsem/capsem-bench/internal/record"
)

// maxReasons bounds the distinct reasons of one pass; the rest is "other".
const maxReasons = 20

const (
	stageTLS   = "tls"
	stageProxy = "proxy"
)

var (
	errHeaderTooLarge   = errors.New("response header larger than 64 KiB")
	errShortBody        = errors.New("short body")
	errTooManyRedirects = &redirectError{reason: fmt.Sprintf("more than %d redirects", maxRedirects)}
)

// malformed is an answer that is not HTTP/1.1 (RFC 9112).
type malformed string

func (m malformed) Error() string { return "malformed response: " + string(m) }

// statusError is a complete response that is no success.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

// stageError is a failure before the request was sent: "proxy", "tls".
type stageError struct {
	stage string
	err   error
}

func (e *stageError) Error() string { return e.stage + ": " + e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

// requestReason returns a short and stable name for a failed request, fit to be
// counted: no address, port or time in it.
func requestReason(err error) string {
	var stage *stageError
	if errors.As(err, &stage) && stage.stage != stageTLS {
		return stage.stage + ": " + causeReason(stage.err)
	}
	return causeReason(err)
}

func causeReason(err error) string {
	var status statusError
	var bad malformed
	var redirect *redirectError
	var netErr net.Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &status):
		return status.Error()
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.As(err, &dns):
		return dnsReason(dns)
	case errors.As(err, &netErr) && netErr.Timeout():
		return "timeout"
	case errors.Is(err, errShortBody):
		return "short body"
	case errors.Is(err, errHeaderTooLarge):
		return "header too large"
	case errors.As(err, &bad):
		return "malformed response"
	case errors.As(err, &redirect):
		return redirect.reason
	}
	if r := tlsReason(err); r != "" {
		return r
	}
	return socketReason(err)
}

func dnsReason(err *net.DNSError) string {
	switch {
	case err.IsNotFound:
		return "name not found"
	case err.IsTimeout:
		return "name lookup timed out"
	}
	return "name lookup failed"
}

func tlsReason(err error) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	var header tls.RecordHeaderError
	var stage *stageError
	switch {
	case errors.As(err, &unknown):
		return "tls: certificate of an unknown authority"
	case errors.As(err, &host):
		return "tls: certificate for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "tls: certificate expired or not yet valid"
	case errors.As(err, &invalid):
		return "tls: invalid certificate"
	case errors.As(err, &alert):
		return record.Printable("tls: alert: "+strings.TrimPrefix(alert.Error(), "tls: "), 60)
	case errors.As(err, &header):
		return "tls: no TLS at the other end"
	case errors.As(err, &stage) && stage.stage == stageTLS:
		if r := socketReason(stage.err); r != "other" {
			return "tls: " + r
		}
		return "tls: handshake failed"
	}
	return ""
}

func socketReason(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "no route to host"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "too many open files"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "no free local port"
	}
	return "other"
}

// countReason adds n failures of one reason to a bounded table.
func countReason(counts map[string]int64, reason string, n int64) {
	if _, ok := counts[reason]; !ok && len(counts) >= maxReasons {
		reason = "other"
	}
	counts[reason] += n
}

// describeReasons lists counted reasons, the most frequent first:
// "2 status 500, 1 timeout".
func describeReasons(counts map[string]int64) string {
	parts := make([]string, 0, len(counts))
	for reason := range counts {
		parts = append(parts, reason)
	}
	sort.Slice(parts, func(i, j int) bool {
		a, b := parts[i], parts[j]
		return counts[a] > counts[b] || counts[a] == counts[b] && a < b
	})
	for i, reason := range parts {
		parts[i] = fmt.Sprintf("%d %s", counts[reason], reason)
	}
	return strings.Join(parts, ", ")
}
