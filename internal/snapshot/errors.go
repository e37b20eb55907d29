package snapshot

import "fmt"

// A Kind says whose fault an error is.
type Kind string

// The kinds of errors.
const (
	Invalid Kind = "invalid" // the request cannot be granted
	Failed  Kind = "failed"  // the request was fine
)

// An Error is what a caller is told. The texts of Capsem's own errors are kept.
type Error struct {
	Kind Kind
	Text string
	Err  error // the cause of a failure, if there is one
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Text + ": " + e.Err.Error()
	}
	return e.Text
}

func (e *Error) Unwrap() error { return e.Err }

func invalid(format string, args ...any) error {
	return &Error{Kind: Invalid, Text: fmt.Sprintf(format, args...)}
}

func failed(err error, format string, args ...any) error {
	return &Error{Kind: Failed, Text: fmt.Sprintf(format, args...), Err: err}
}
