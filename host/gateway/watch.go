package gateway

import (
	"errors"
	"time"

	"github.com/capsem/capsem-bench/host/internal/snapshot"
	"github.com/capsem/capsem-bench/host/internal/wire"
)

// watchEvery is how long a request runs before somebody looks whether its
// guest is still there, and between two looks. Most requests take less.
const watchEvery = 200 * time.Millisecond

var errGone = errors.New("the guest closed the connection")

// watch ends what a guest asked for when the guest has gone. The end of its
// sending side alone is no reason: clients send all that they have to say and
// then wait for the answers.
// The caller holds mu.
func (c *conn) watch(r *request) {
	r.watch = time.AfterFunc(watchEvery, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case c.call != r: // answered
		case wire.HungUp(c.net):
			c.cancel(errGone)
		default:
			c.watch(r)
		}
	})
}

// rowBytes is about what a row of an answer takes beside its path.
const rowBytes = 160

// answerCopies is how often an answer is in memory while it is made: rows, text,
// the text within JSON, the line.
const answerCopies = 4

// reserve counts an answer of a size before it is made; it counts until it is
// sent. Guests decide how many files there are and how many ask at a time.
func (c *conn) reserve(size int64) error {
	size *= answerCopies
	if size > c.g.limits.large {
		return &snapshot.Error{Kind: snapshot.Failed, Text: "workspace too large: the answer would not fit; ask for the history of single files"}
	}
	if c.g.answers.Add(size) > c.g.limits.large {
		c.g.answers.Add(-size)
		return &snapshot.Error{Kind: snapshot.Failed, Text: "too many large answers at a time; try again"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.call == nil { // it was given up
		c.g.answers.Add(-size)
		return &snapshot.Error{Kind: snapshot.Failed, Text: "gave up", Err: errGone}
	}
	c.call.reserved += size
	return nil
}
