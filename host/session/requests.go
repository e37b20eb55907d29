package session

import (
	"context"
	"time"
)

// A Request is one allowed request as the proxy saw it.
type Request struct {
	At   time.Time     // arrival of its headers, host's clock
	Took time.Duration // until its answer was sent
}

// Requests returns the allowed requests that arrived within a time, in order
// and at most limit, and how many there were. It returns none where the
// database has no requests.
func (d *DB) Requests(ctx context.Context, from, to time.Time, limit int) (list []Request, all int, err error) {
	if !d.has("net_events", "timestamp", "decision") {
		return nil, 0, nil
	}
	rows, err := d.requestRows(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, r := range rows {
		if !r.At.Before(from) && !r.At.After(to) {
			list = append(list, r.Request)
		}
	}
	return list[:min(len(list), limit)], len(list), nil
}
