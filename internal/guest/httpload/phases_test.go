package httpload

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Phases are there where they occur, and add up to the whole.
func TestPhases(t *testing.T) {
	clearProxies(t)
	body := object(t, 1<<20)
	o := newOrigin(t, "localhost", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
	trust(t, o.pem)
	d, err := Fetch(t.Context(), o.URL, 0)
	require.NoError(t, err)
	s := d.Samples(nil)
	m := s.Metrics
	for _, unit := range []string{"connect-ns", "tls-ns", "ttfb-ns", "body-ns"} {
		assert.Positive(t, m[unit], unit)
	}
	assert.NotContains(t, m, "proxy-ns", "there is none")
	assert.InDelta(t, m["ns/op"], m["ttfb-ns"]+m["body-ns"], 1)
	assert.GreaterOrEqual(t, m["ttfb-ns"], m["dns-ns"]+m["connect-ns"]+m["tls-ns"])
	assert.Positive(t, m["maxrss-B"])
	assert.Zero(t, m["stalls"])
	sum := int64(0)
	for _, n := range s.PerSecond {
		sum += n
	}
	assert.EqualValues(t, len(body), sum)

	other := newOrigin(t, "www.google.com", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "page") })
	proxy, _ := tunnelProxy(t, other.Listener.Addr().String())
	trust(t, other.pem)
	t.Setenv("HTTPS_PROXY", proxy.String())
	m = load(t, "https://www.google.com/", 0, 10, 2).Samples().Metrics
	for _, unit := range []string{"connect-ns", "proxy-ns", "tls-ns", "ttfb-p50-ns", "ttfb-p95-ns"} {
		assert.Positive(t, m[unit], unit)
	}
	assert.LessOrEqual(t, m["ttfb-p50-ns"], m["p50-ns"])
}

// A body that stands still is counted, with how much came in which second.
func TestPaceCountsStalls(t *testing.T) {
	start := time.Now()
	p := pace{start: start}
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	p.add(at(0), at(10), 100)
	p.add(at(10), at(509), 200)  // not yet
	p.add(at(600), at(1900), 50) // a stall
	p.add(at(2000), at(2500), 7) // another
	assert.Equal(t, []int64{300, 50, 7}, p.seconds)
	assert.EqualValues(t, 2, p.stalls)
	assert.Equal(t, 1800*time.Millisecond, p.stalled)
	p.add(at(3600_000), at(3600_001), 1)
	assert.Len(t, p.seconds, maxSeconds, "what is kept is bounded")
}
