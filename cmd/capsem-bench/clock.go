package main

import (
	"bytes"
	"context"
	"time"

	"github.com/capsem/capsem-bench/internal/record"
)

// A clocked sandbox has a guest with a clock of its own.
type clocked interface {
	ReadClock(ctx context.Context) (record.ClockReading, error)
}

// A staged sandbox knows what the steps of its boot took.
type staged interface{ BootStages() []record.BootStage }

// clockLimit is how long a reading may take. What it takes is 20 round trips
// of 1 ms, and on a busy machine one of several seconds; without one, calls of
// the guest cannot be found in the host's database, which is no reason to fail.
const clockLimit = 30 * time.Second

// clockRoom is the length of a clock line with two readings of any numbers,
// without stages.
const clockRoom = 400

// A clockLine is the line of a text that compares the guest's clock with ours.
// It is written before the guest says anything, so that no line of the guest's
// can be taken for it, and completed in its place when the guest is done.
type clockLine struct {
	of   clocked
	text *textFile
	at   int64
	room int // bytes of the line
	rec  record.Clock
}

// beginClock reads the clock of a sandbox that has one and writes the line.
func beginClock(ctx context.Context, sandbox any, text *textFile) *clockLine {
	of, ok := sandbox.(clocked)
	if !ok {
		return nil
	}
	c := &clockLine{of: of, text: text, at: text.Len(), rec: record.Clock{Type: record.TypeClock}, room: clockRoom}
	if s, ok := sandbox.(staged); ok {
		c.rec.Stages = s.BootStages()
		stages, _ := record.Append(nil, c.rec) // a few names and numbers are always a line
		c.room += len(stages)
	}
	c.read(ctx)
	_, _ = text.Write(c.line())
	return c
}

// end reads the clock again.
func (c *clockLine) end(ctx context.Context) {
	if c != nil && c.read(ctx) {
		c.text.replace(c.at, c.line())
	}
}

// read adds a reading. Also after an interrupt, for the guest is still there.
func (c *clockLine) read(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clockLimit)
	defer cancel()
	r, err := c.of.ReadClock(ctx)
	if err == nil {
		c.rec.Readings = append(c.rec.Readings, r)
	}
	return err == nil
}

// line is the line, filled up with blanks, so that it can be replaced.
func (c *clockLine) line() []byte {
	line, _ := record.Append(nil, c.rec) // a few numbers are always a line
	line = bytes.TrimSuffix(line, []byte("\n"))
	return append(append(line, bytes.Repeat([]byte(" "), c.room-1-len(line))...), '\n')
}
