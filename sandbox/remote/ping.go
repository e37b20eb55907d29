package remote

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/vmconfig"
)

// Ping sends a keepalive request and waits for the answer.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.ask(ctx, "keepalive@openssh.com")
	if errors.Is(err, errRefused) {
		return nil // a refusal is an answer too
	}
	return err
}

// errRefused says that the server does not know a request.
var errRefused = errors.New("the guest's SSH server does not know the request")

// ask makes a global request and returns its answer.
func (c *Client) ask(ctx context.Context, request string) ([]byte, error) {
	type outcome struct {
		ok     bool
		answer []byte
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		ok, answer, err := c.ssh.SendRequest(request, true, nil)
		done <- outcome{ok, answer, err}
	}()
	select {
	case o := <-done:
		if o.err == nil && !o.ok {
			return nil, errRefused
		}
		return o.answer, c.why(o.err)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A clock is read by clockTrips round trips, fewer when they take longer than
// clockTime together: the shortest of them was held up least, so its middle
// is nearest to when the guest read its clock.
const (
	clockTrips = 20
	clockTime  = 2 * time.Second
)

// maxClock is far beyond any clock, and differences of two such fit an int64.
const maxClock = 1 << 62

// ReadClock compares the guest's clock with ours. The guest's answer is not
// trusted: a wrong one falsifies the figures of that guest alone.
func (c *Client) ReadClock(ctx context.Context) (record.ClockReading, error) {
	var best record.ClockReading
	begin := time.Now()
	for trip := 0; trip < clockTrips && time.Since(begin) < clockTime; trip++ {
		asked := time.Now()
		answer, err := c.ask(ctx, vmconfig.ClockRequest)
		took := time.Since(asked)
		if err != nil && trip > 0 && ctx.Err() != nil {
			break // what there is will do
		}
		if err != nil {
			return best, err
		}
		if len(answer) != 8 {
			return best, errors.New("the guest's clock: an answer of the wrong length")
		}
		guest := binary.BigEndian.Uint64(answer)
		if guest > maxClock {
			return best, errors.New("the guest's clock: no time at all")
		}
		r := record.ClockReading{TimeNS: asked.Add(took / 2).UnixNano(), BoundNS: int64(took+1) / 2}
		r.OffsetNS = int64(guest) - r.TimeNS
		if trip == 0 || r.BoundNS < best.BoundNS {
			best = r
		}
	}
	return best, nil
}
