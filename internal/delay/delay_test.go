package delay

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	d, err := Parse("proxy=5ms, snapshots_create=busy:1s, proxy_mib=1ms")
	require.NoError(t, err)
	assert.Equal(t, Delays{"proxy": {5 * time.Millisecond, false}, "snapshots_create": {time.Second, true}, "proxy_mib": {time.Millisecond, false}}, d)
	d, err = Parse("")
	require.NoError(t, err)
	assert.Empty(t, d)
	for _, bad := range []string{"proxy", "proxy=5", "proxy=-1s", "proxy=1h", "disk=5ms", "=5ms", "proxy=busy", "proxy=idle:5ms", "gateway_mib=1ms"} {
		_, err := Parse(bad)
		assert.ErrorContains(t, err, "delay", bad)
	}
}

// single is a listener of one connection.
type single struct {
	net.Listener
	c net.Conn
}

func (l single) Accept() (net.Conn, error) { return l.c, nil }

// pipe accepts one connection through the delays and returns its ends.
func pipe(t *testing.T, service, spec string) (guest, host net.Conn) {
	d, err := Parse(spec)
	require.NoError(t, err)
	guest, far := net.Pipe()
	host, err = d.Listener(service, single{c: far}).Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, guest.Close())
		assert.NoError(t, host.Close())
	})
	return guest, host
}

// send writes what the other end reads in its own time.
func send(c net.Conn, text string) { go func() { _, _ = io.WriteString(c, text) }() }

func TestNothingToDelay(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	assert.Same(t, ln, Delays{"snapshots_create": {Took: 1}}.Listener(Proxy, ln))
	assert.Same(t, ln, Delays{"proxy": {Took: 1}, "proxy_mib": {Took: 1}}.Listener(Gateway, ln))
}

func TestDelays(t *testing.T) {
	const took = 60 * time.Millisecond
	tests := []struct {
		name, service, spec, text string
		want                      time.Duration
	}{
		{"everything", Proxy, "proxy=60ms", "CONNECT", took},
		{"the tool", Gateway, "snapshots_create=60ms", `{"name":"snapshots_create"}`, took},
		{"two calls", Gateway, "snapshots_create=60ms", `"snapshots_create" "snapshots_create"`, 2 * took},
		{"at work", Gateway, "snapshots_create=busy:60ms", `{"name":"snapshots_create"}`, took},
		{"another tool", Gateway, "snapshots_create=60ms", `{"name":"snapshots_list"}`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			read := func(t *testing.T) time.Duration {
				guest, host := pipe(t, tt.service, tt.spec)
				send(guest, tt.text)
				start := time.Now()
				got := make([]byte, len(tt.text))
				_, err := io.ReadFull(host, got)
				require.NoError(t, err)
				assert.Equal(t, tt.text, string(got))
				return time.Since(start)
			}
			if strings.Contains(tt.spec, "busy") { // the time of a bubble does not pass for one that is at work
				assert.GreaterOrEqual(t, read(t), tt.want)
				return
			}
			synctest.Test(t, func(t *testing.T) { assert.Equal(t, tt.want, read(t)) })
		})
	}
}

// TestWordInTwoParts reads byte by byte: the word is found once.
func TestWordInTwoParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guest, host := pipe(t, Gateway, "snapshots_list=50ms")
		const text = `{"name":"snapshots_list"} and more than the length of it`
		send(guest, text)
		var slow []time.Duration
		for range len(text) {
			start := time.Now()
			_, err := host.Read(make([]byte, 1))
			require.NoError(t, err)
			if took := time.Since(start); took > 0 {
				slow = append(slow, took)
			}
		}
		assert.Equal(t, []time.Duration{50 * time.Millisecond}, slow)
	})
}

// TestSent sends in small pieces: their delays add up.
func TestSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guest, host := pipe(t, Proxy, "proxy_mib=100ms")
		done := make(chan error, 1)
		go func() {
			_, err := io.CopyN(io.Discard, guest, 1<<20)
			done <- err
		}()
		start := time.Now()
		for range 1024 {
			_, err := host.Write(make([]byte, 1024))
			require.NoError(t, err)
		}
		assert.InDelta(t, 100*time.Millisecond, time.Since(start), float64(worthwhile))
		require.NoError(t, <-done)
	})
}

// TestCloseEndsADelay closes a connection in the middle of one.
func TestCloseEndsADelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guest, host := pipe(t, Proxy, "proxy=10s")
		send(guest, "x")
		start := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = host.Read(make([]byte, 1))
		}()
		synctest.Wait() // until it is in the delay
		require.NoError(t, host.(*conn).CloseWrite())
		host.(*conn).once.Do(func() { close(host.(*conn).closed) })
		<-done
		assert.Zero(t, time.Since(start))
	})
}
