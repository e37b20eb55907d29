package blockio

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/guest/coldcache"
	"golang.org/x/sys/unix"
)

// Scattered reads one block at places in many files. Its Run is a loop for
// guest.Pass.TimeEach.
//
// As in Capsem's own tool a file is opened at its first read, inside the timer,
// and its descriptor is kept for the later ones; closing is outside. So the
// time of an access is that of a read, and at some accesses that of an open
// besides, which Opens tells apart. A file that vanished or cannot be read is
// counted and costs no time.
type Scattered struct {
	Block   int64
	Samples []Sample

	failures map[string]int64
	opens    []int64
	reopened int64
}

// Run makes all accesses once.
func (s *Scattered) Run(ctx context.Context) (guest.Accesses, error) {
	s.failures, s.opens, s.reopened = make(map[string]int64), nil, 0
	limit, restore := raiseOpenFiles(len(Distinct(s.Samples)))
	defer restore()
	files := &openFiles{limit: limit, fds: make(map[string]int), closed: make(map[string]bool)}
	defer files.close()
	a := guest.Accesses{Times: make([]int64, 0, len(s.Samples))}
	buf := make([]byte, s.Block)
	a.Start = time.Now()
	for _, sample := range s.Samples {
		files.makeRoom(sample.Path)
		access, open, err := files.read(sample, buf)
		if err != nil {
			s.failures[Reason(err)]++
			continue
		}
		if open > 0 {
			s.opens = append(s.opens, int64(open))
		}
		a.Times = append(a.Times, int64(access))
		a.Elapsed += access
		a.Bytes += s.Block
		if ctx.Err() != nil {
			return a, ctx.Err()
		}
	}
	s.reopened = files.reopened
	if len(a.Times) == 0 {
		return a, errors.New("none of the files could be read")
	}
	return a, nil
}

// Failures counts the accesses of the last run that failed, by reason.
func (s *Scattered) Failures() map[string]int64 { return s.failures }

// Opens are the times of the opens of the last run, in ns; each is a part of
// the time of one access.
func (s *Scattered) Opens() []int64 { return s.opens }

// Reopened is how often the last run opened a file again, because the limit of
// open files is lower than the number of files.
func (s *Scattered) Reopened() int64 { return s.reopened }

// Cached is how many pages of the files are in the page cache.
func (s *Scattered) Cached() (pages int64, known bool) {
	return coldcache.CachedPagesOf(Distinct(s.Samples))
}

// openFiles keeps the descriptors of files by their names.
type openFiles struct {
	limit    int // of descriptors
	fds      map[string]int
	order    []string // of fds, oldest first
	closed   map[string]bool
	reopened int64
}

// makeRoom closes the oldest file if the limit is reached and the file is not
// open. It is called outside of the timer.
func (o *openFiles) makeRoom(path string) {
	if _, open := o.fds[path]; open || len(o.fds) < o.limit {
		return
	}
	oldest := o.order[0]
	o.order = o.order[1:]
	_ = unix.Close(o.fds[oldest])
	delete(o.fds, oldest)
	o.closed[oldest] = true
}

// read reads one block, and opens the file if it is not open. It returns the
// time of both, and of the open, which is 0 where there was none.
func (o *openFiles) read(s Sample, buf []byte) (access, open time.Duration, err error) {
	fd, ok := o.fds[s.Path]
	start := time.Now()
	if !ok {
		fd, err = openAt(s.Path)
		open = time.Since(start)
		if err != nil {
			return 0, 0, err
		}
	}
	n, err := pread(fd, buf, s.Offset)
	access = time.Since(start)
	if !ok {
		o.keep(s.Path, fd)
	}
	if err == nil && n < len(buf) {
		err = io.ErrUnexpectedEOF
	}
	return access, open, err
}

func (o *openFiles) keep(path string, fd int) {
	o.fds[path] = fd
	o.order = append(o.order, path)
	if o.closed[path] {
		o.reopened++
	}
}

func (o *openFiles) close() {
	for _, fd := range o.fds {
		_ = unix.Close(fd)
	}
}

func openAt(path string) (int, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}
