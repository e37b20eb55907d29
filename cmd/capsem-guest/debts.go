package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"
)

// debts are the requests that the gateway has not answered. Requests and
// replies are matched by their id and not counted: a gateway may answer
// notifications, answer out of turn, or send requests of its own.
type debts struct {
	ids       map[string]int  // how many requests of an id have no reply
	cancelled map[string]bool // ids that need not be answered any more (MCP, "Cancellation")
	nameless  int             // lines that the gateway answers with an error without an id
	unsure    int             // lines since the last request that Capsem may answer, without an id
}

const methodNotFound = -32601 // JSON-RPC 2.0, section 5.1

// request notes a line of the client.
func (d *debts) request(line []byte) {
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	var m struct {
		ID            json.RawMessage `json:"id"`
		Method        json.RawMessage `json:"method"`
		Params        json.RawMessage `json:"params"`
		Result, Error json.RawMessage
	}
	var method string
	err := json.Unmarshal(line, &m)
	switch {
	case err == nil && isNull(m.Method) && (m.Result != nil || m.Error != nil):
		d.unsure++ // a reply of the client's, which Capsem answers as if it were a request
		return
	case err != nil, len(line) > maxRequest, !utf8.Valid(line), isNull(m.Method), json.Unmarshal(m.Method, &method) != nil:
		d.nameless++ // also a batch, which no gateway of lines takes
		return
	case isNull(m.ID):
		if id := requestID(m.Params); method == "notifications/cancelled" && id != "" && d.ids[id] > 0 {
			d.cancel(id)
		}
		if method != "notifications/initialized" {
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

// requestID is the id that the parameters of a cancellation name, "" if none.
func requestID(params json.RawMessage) string {
	var p struct {
		RequestID json.RawMessage `json:"requestId"`
	}
	if json.Unmarshal(params, &p) != nil || isNull(p.RequestID) {
		return "" // parameters of another shape
	}
	return idKey(p.RequestID)
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
	case r.code != 0 && d.nameless == 0:
		d.unsure = max(0, d.unsure-1)
	case r.code != 0:
		d.nameless--
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
