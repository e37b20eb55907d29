package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// A Kind says whose fault an error is.
type Kind string

// The kinds of errors.
const (
	Invalid Kind = "invalid" // the request cannot be granted
	Failed  Kind = "failed"  // the request was fine
)

// An Error is reported to the caller. The texts of Capsem's own errors are kept.
type Error struct {
	Kind Kind
	Text string
	Err  error // the cause of a failure, if there is one
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Text + ": " + withoutPath(e.Err)
	}
	return e.Text
}

// withoutPath is the text of an error without a path of the host, for answers
// to a guest. Paths below the workspace are in texts of our own.
func withoutPath(err error) string {
	var file *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &file):
		return file.Err.Error()
	case errors.As(err, &link):
		return link.Err.Error()
	}
	return err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

func invalid(format string, args ...any) error {
	return &Error{Kind: Invalid, Text: fmt.Sprintf(format, args...)}
}

func failed(err error, format string, args ...any) error {
	return &Error{Kind: Failed, Text: fmt.Sprintf(format, args...), Err: err}
}
