package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/userfile"
	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/bounded"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/internal/termtext/layout"
)

// stdoutName is standard output in place of a file's name. The document goes
// there anyway.
const stdoutName = "-"

// present writes the JSON document to standard output and to the files that
// want it, then the tables to standard error: on a terminal, where both go,
// the tables are what stays in sight. A failure does not keep the rest back.
func (a *app) present(opt *measureOptions, rep *convert.Report, files ...string) error {
	var doc bytes.Buffer
	if err := rep.WriteJSON(&doc); err != nil {
		return exit(exitUnfit, err)
	}
	var failed []error
	for _, name := range append(files, opt.json) {
		if name == "" || name == stdoutName {
			continue
		}
		// What was measured may have made a file of that name by now.
		if err := userfile.Replaceable(name, userfile.Document()); err != nil {
			failed = append(failed, exit(exitUsage, err))
			continue
		}
		failed = append(failed, exit(exitUnfit, atomicfile.Write(name, doc.Bytes())))
	}
	failed = append(failed, a.output(doc.String()))
	if !opt.quiet {
		// Nobody left to read standard error is no reason to fail.
		_ = convert.WriteTables(a.term, rep, convert.TableOptions{Width: a.term.width(), Color: a.term.color})
	}
	return worst(failed)
}

// output prints data.
func (a *app) output(text string) error {
	_, err := io.WriteString(a.stdout, text)
	return exit(exitUnfit, written(err))
}

// out is standard output where people read it.
func (a *app) out() *term {
	t := newTerm(a.stdout)
	t.setColor(a.color)
	return t
}

// show prints what people read. In the log of a workflow no line of it is a
// command, whatever a table begins with.
func (a *app) show(text string) error {
	text = termtext.Inert(text)
	if a.term.ascii {
		text = layout.ASCII(text)
	}
	return a.output(text)
}

// written is the error of a write to standard output. A reader that went away,
// as head does, has what it wanted.
func written(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// A sticky writer remembers its first error.
type sticky struct {
	w   io.Writer
	err error
}

func (s *sticky) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	if s.err == nil {
		s.err = err
	}
	return n, err
}

// maxText bounds the text of one boot: a round of everything is some 20 kB.
const maxText = 256 << 20

var errTooMuch = fmt.Errorf("the guest printed more than %d MiB", maxText>>20)

// A textFile keeps benchmark text: in a file, and in memory what the file
// could not take, or everything if it has no name. So a full disk costs the
// file and not the measurement. A Write never fails; text beyond maxText is
// dropped and the boot cancelled.
type textFile struct {
	file   *os.File
	good   int64 // bytes in the file
	rest   bytes.Buffer
	err    error // of the file
	cancel context.CancelCauseFunc
}

func newTextFile(name string, cancel context.CancelCauseFunc) *textFile {
	t := &textFile{cancel: cancel}
	if name != "" {
		t.file, t.err = os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	}
	return t
}

func (t *textFile) Write(b []byte) (int, error) {
	n := len(b)
	if t.Len()+int64(n) > maxText {
		t.cancel(errTooMuch)
		return n, nil
	}
	if t.file != nil && t.err == nil {
		var wrote int
		wrote, t.err = t.file.Write(b)
		t.good += int64(wrote)
		b = b[wrote:]
	}
	t.rest.Write(b)
	return n, nil
}

// replace puts b in the place of what was written at an offset before.
func (t *textFile) replace(off int64, b []byte) {
	if n := min(t.good-off, int64(len(b))); n > 0 {
		if _, err := t.file.WriteAt(b[:n], off); err != nil && t.err == nil {
			t.err = err
		}
		b, off = b[n:], off+n
	}
	if len(b) > 0 {
		copy(t.rest.Bytes()[off-t.good:], b)
	}
}

// Len returns how many bytes were kept.
func (t *textFile) Len() int64 { return t.good + int64(t.rest.Len()) }

// Reader returns the text from its beginning.
func (t *textFile) Reader() io.Reader {
	if t.file == nil {
		return bytes.NewReader(t.rest.Bytes())
	}
	return io.MultiReader(io.NewSectionReader(t.file, 0, t.good), bytes.NewReader(t.rest.Bytes()))
}

func (t *textFile) Close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}

// tail keeps the end of what a child complains about. A boot whose child
// complains without end is cancelled.
type tail struct {
	bounded.Tail
	n      int64 // bytes written
	cancel context.CancelCauseFunc
}

// maxComplaints is far beyond what any guest binary has to say.
const maxComplaints = 16 << 20

var errComplains = fmt.Errorf("the guest complained more than %d MiB", maxComplaints>>20)

func (t *tail) Write(b []byte) (int, error) {
	if t.n += int64(len(b)); t.n > maxComplaints && t.cancel != nil {
		t.cancel(errComplains)
	}
	return t.Tail.Write(b)
}

func (t *tail) String() string { return strings.TrimSpace(termtext.Block(t.Tail.String())) }
