package delay

import (
	"io"
	"net"
	"testing"
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

// pipe accepts one connection through the delays and returns its ends.
func pipe(t *testing.T, service, spec string) (guest, host net.Conn) {
	d, err := Parse(spec)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	wrapped := d.Listener(service, ln)
	guest, err = net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	host, err = wrapped.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, guest.Close())
		assert.NoError(t, host.Close())
		assert.NoError(t, ln.Close())
	})
	return guest, host
}

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
			guest, host := pipe(t, tt.service, tt.spec)
			_, err := io.WriteString(guest, tt.text)
			require.NoError(t, err)
			start := time.Now()
			got := make([]byte, len(tt.text))
			_, err = io.ReadFull(host, got)
			require.NoError(t, err)
			assert.Equal(t, tt.text, string(got))
			assert.GreaterOrEqual(t, time.Since(start), tt.want)
		})
	}
}

// TestWordInTwoParts reads byte by byte: the word is found once.
func TestWordInTwoParts(t *testing.T) {
	guest, host := pipe(t, Gateway, "snapshots_list=50ms")
	const text = `{"name":"snapshots_list"} and more than the length of it`
	_, err := io.WriteString(guest, text)
	require.NoError(t, err)
	var slow int
	for range len(text) {
		start := time.Now()
		_, err := host.Read(make([]byte, 1))
		require.NoError(t, err)
		if time.Since(start) >= 50*time.Millisecond {
			slow++
		}
	}
	assert.GreaterOrEqual(t, slow, 1)
	assert.Less(t, slow, 5, "a busy machine adds some, the word only one")
}

// TestSent sends in small pieces: their delays add up.
func TestSent(t *testing.T) {
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
	assert.GreaterOrEqual(t, time.Since(start), 99*time.Millisecond)
	require.NoError(t, <-done)
}

// TestCloseEndsADelay closes a connection in the middle of one.
func TestCloseEndsADelay(t *testing.T) {
	guest, host := pipe(t, Proxy, "proxy=10s")
	_, err := io.WriteString(guest, "x")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = host.Read(make([]byte, 1))
	}()
	require.NoError(t, host.(*conn).CloseWrite())
	host.(*conn).once.Do(func() { close(host.(*conn).closed) })
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("the read did not end")
	}
}
