package main

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// halfDeaf is a connection whose device does not pass on the end of one half,
// as vhost-device-vsock.
type halfDeaf struct{ net.Conn }

func (halfDeaf) CloseWrite() error { return nil }

const pong = `{"jsonrpc":"2.0","id":1,"result":{}}` + "\n"

// talk runs a session with a host on such a connection, which keeps it open,
// in time that passes only while everybody waits.
func talk(t *testing.T, stdin string, host func(c net.Conn, in *bufio.Reader)) (stdout string, took time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		over := make(chan struct{})
		go func() {
			in := bufio.NewReader(theirs)
			_, _ = in.ReadString('\n') // metadata
			host(theirs, in)
			_, _ = io.Copy(io.Discard, in)
			close(over)
		}()
		var out strings.Builder
		begin := time.Now()
		s := &session{conn: halfDeaf{ours}, timeout: socketTimeout}
		err = s.run("test", strings.NewReader(stdin), &out)
		stdout, took = out.String(), time.Since(begin)
		_ = ours.Close()
		<-over
	})
	return stdout, took, err
}

// The relay ends with the last answer: it does not wait for a host that never
// hears of the end of stdin, for the end of the process is part of a call.
func TestRelayEndsWithTheLastAnswer(t *testing.T) {
	const notification = `{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"x"}}` + "\n"
	const slow = 3 * time.Second
	answer := func(before string) func(net.Conn, *bufio.Reader) {
		return func(c net.Conn, in *bufio.Reader) {
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(c, before)
			time.Sleep(slow) // of the bubble's time
			_, _ = io.WriteString(c, pong)
		}
	}
	for _, tt := range []struct {
		name, stdin string
		host        func(net.Conn, *bufio.Reader)
		stdout      string
		took        time.Duration
	}{
		{"an answer", ping + "\n", answer(""), pong, slow},
		{"a notification is none", ping + "\n", answer(notification), notification + pong, slow},
		{"an empty line is none", ping + "\n", answer("\n"), "\n" + pong, slow},
		{"a method within an answer of another", ping + "\n", answer(strings.Replace(notification, `"method"`, `"id":7,"result":{"method":1},"x"`, 1)), "", 0},
		{"nothing was asked", "", func(net.Conn, *bufio.Reader) {}, "", 0},
		{"two halves", ping + "\n", func(c net.Conn, in *bufio.Reader) {
			_, _ = in.ReadString('\n')
			for _, part := range []string{pong[:9], pong[9:]} {
				time.Sleep(slow)
				_, _ = io.WriteString(c, part)
			}
		}, pong, 2 * slow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stdout, took, err := talk(t, tt.stdin, tt.host)
			require.NoError(t, err)
			assert.Equal(t, tt.took, took)
			if tt.took > 0 {
				assert.Equal(t, tt.stdout, stdout)
			}
		})
	}
}

// An answer that does not come, or not whole, is an error after a while.
func TestRelayOwedAnAnswer(t *testing.T) {
	for _, said := range []string{"", "\n", pong[:9]} {
		_, took, err := talk(t, ping+"\n", func(c net.Conn, in *bufio.Reader) {
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(c, said)
		})
		require.ErrorContains(t, err, "no answer within 30s")
		assert.Equal(t, socketTimeout, took)
	}
}

func TestReplies(t *testing.T) {
	long := `{"jsonrpc":"2.0","id":1,"result":"` + strings.Repeat("x", 3*maxMetaRequest) + `"}` + "\n"
	request := `{"jsonrpc":"2.0","id":1,"method":"roots/list"}` + "\n"
	text := long + pong + request + "\n" + `no JSON, "method"` + "\n" + pong + pong[:5]
	for _, size := range []int{1, 7, 64 << 10, len(text)} {
		var r replies
		n := 0
		for p := []byte(text); len(p) > 0; {
			part := p[:min(size, len(p))]
			n += r.count(part)
			p = p[len(part):]
		}
		assert.Equal(t, 4, n, "in parts of %d", size)
		assert.LessOrEqual(t, cap(r.line), 4*maxMetaRequest)
	}
}
