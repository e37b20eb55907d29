package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// debts are the requests that the gateway has not answered. Requests and
// replies are matched by their id and not counted: a gateway may answer
// notifications, answer out of turn, or send requests of its own.
type debts struct {
	ids       map[string]int  // how many requests of an id have no reply
	cancelled map[string]bool // ids that need not be answered any more (MCP, "Cancellation")
	nameless  int             // lines that the gateway answers with an error without an id
	unsure    int             // notifications since the last request, which Capsem may answer
}

const methodNotFound = -32601 // JSON-RPC 2.0, section 5.1

// request notes a line of the client.
func (d *debts) request(line []byte) {
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method *string         `json:"method"`
		Params struct {
			RequestID json.RawMessage `json:"requestId"`
		} `json:"params"`
	}
	err := json.Unmarshal(line, &m)
	if _, odd := err.(*json.UnmarshalTypeError); odd { //nolint:errorlint // Unmarshal returns it bare
		err = nil // parameters of another shape
	}
	switch {
	case err != nil || len(line) > maxRequest:
		d.nameless++
		return
	case m.Method == nil: // a reply of the client's
		return
	case isNull(m.ID):
		if *m.Method == "notifications/cancelled" && !isNull(m.Params.RequestID) && d.ids[idKey(m.Params.RequestID)] > 0 {
			d.cancel(idKey(m.Params.RequestID))
		}
		if *m.Method != "notifications/initialized" {
			d.unsure++
		}
		return
	}
	if d.ids == nil {
		d.ids = make(map[string]int)
	}
	d.ids[idKey(m.ID)]++
	d.unsure = 0 // a gateway that answers in turn has answered them before this
}

func (d *debts) cancel(id string) {
	if d.cancelled == nil {
		d.cancelled = make(map[string]bool)
	}
	d.cancelled[id] = true
}

// reply notes a line of the gateway.
func (d *debts) reply(r hostLine) {
	switch {
	case r.method: // a request or a notification of the gateway's
	case r.id != "":
		if d.ids[r.id]--; d.ids[r.id] <= 0 {
			delete(d.ids, r.id)
			delete(d.cancelled, r.id)
		}
	case r.code == methodNotFound: // the answer to a notification
		d.unsure = max(0, d.unsure-1)
	case r.code != 0:
		d.nameless = max(0, d.nameless-1)
	}
}

// any reports whether a reply may be expected.
func (d *debts) any() bool { return len(d.ids) > 0 || d.nameless > 0 }

// count returns how many replies are missing, without those to cancelled
// requests.
func (d *debts) count() int {
	n := d.nameless
	for id, requests := range d.ids {
		if !d.cancelled[id] {
			n += requests
		}
	}
	return n
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// idKey returns one spelling of an id: gateways may write 1 for 1.0 and "a"
// for "\u0061".
func idKey(raw []byte) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return strconv.Quote(text)
	}
	if f, err := strconv.ParseFloat(string(raw), 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.FormatInt(int64(f), 10)
	}
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return string(raw)
	}
	return b.String()
}
