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
		{"a method within an answer of another", ping + "\n", answer(strings.Replace(notification, `"method"`, `"id":1,"result":{"method":1},"x"`, 1)), "", 0},
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

// Lines that are no requests, and that a gateway answers with an error without
// an id, are answered before the relay ends: a batch, a method that is no text,
// a line that is no object or no UTF-8.
func TestRelayWaitsForTheAnswerToWhatIsNoRequest(t *testing.T) {
	const slow = 3 * time.Second
	const refusal = `{"jsonrpc":"2.0","error":{"code":-32700,"message":"parse error"}}` + "\n"
	for _, line := range []string{
		"[" + ping + "]", `{"jsonrpc":"2.0","id":1,"method":5}`, `{"jsonrpc":"2.0","id":1,"method":null}`, `{"jsonrpc":"2.0","id":1}`,
		"5", `"x"`, "null", "{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"ping\"}", `{"id":1,"method":"ping"}{"id":2,"method":"ping"}`,
	} {
		stdout, took, err := talk(t, line+"\n", func(c net.Conn, in *bufio.Reader) {
			_, _ = in.ReadString('\n')
			time.Sleep(slow) // of the bubble's time
			_, _ = io.WriteString(c, refusal)
		})
		require.NoError(t, err, "%q", line)
		assert.Equal(t, refusal, stdout, "%q", line)
		assert.Equal(t, slow, took, "%q", line)
	}
}

// A reply of the client's may be answered, as Capsem does, and need not be.
func TestRelayAndAReplyOfTheClient(t *testing.T) {
	_, took, err := talk(t, `{"jsonrpc":"2.0","id":1,"result":{}}`+"\n", func(_ net.Conn, in *bufio.Reader) { _, _ = in.ReadString('\n') })
	require.NoError(t, err)
	assert.Equal(t, unsureWait, took)
}

// Replies are distinguished from the lines of a host by their members, however the text
// is cut and however long it is.
func TestHostLines(t *testing.T) {
	long := `{"jsonrpc":"2.0","result":{"id":5,"text":"` + strings.Repeat(`\"{[,:`, 1<<18) + `"},"id":"long"}` + "\n"
	text := long + pong + `{"id":3,"method":"roots/list"}` + "\n\n" + `no JSON, "method"` + "\n" +
		` { "id" : 1.0e1 , "error" : { "data" : {"code":1} , "code" : -32601 } } ` + "\r\n" +
		`{"error":{"code":-32700,"message":"parse error"}}` + "\n" + `{"id":null,"method":"x"}` + "\n" + `{"id":{"a":[1, 2]},"result":1}` + "\n" + pong[:5]
	want := []hostLine{
		{id: `"long"`}, {id: "1"}, {id: "3", method: true}, {id: "10", code: -32601}, {code: -32700}, {method: true}, {id: `{"a":[1,2]}`},
	}
	for _, size := range []int{1, 7, 64 << 10, len(text)} {
		var in replyScanner
		var got []hostLine
		for p := []byte(text); len(p) > 0; {
			part := p[:min(size, len(p))]
			got = append(got, in.scan(part)...)
			p = p[len(part):]
		}
		assert.Equal(t, want, got, "in parts of %d", size)
		assert.LessOrEqual(t, cap(in.key)+cap(in.member), 4*maxMember)
	}
}

// Answers are matched with requests by their id, not counted: every request is
// answered, whatever else the gateway says. The host reads all lines first.
func TestRelayMatchesAnswersByID(t *testing.T) {
	const (
		cancelled = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}` + "\n"
		unknown   = `{"jsonrpc":"2.0","error":{"code":-32601,"message":"method not found: notifications/cancelled"}}` + "\n"
		garbled   = `{"jsonrpc":"2.0","error":{"code":-32700,"message":"parse error"}}` + "\n"
		second    = `{"jsonrpc":"2.0","id":2,"result":{}}` + "\n"
		call      = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}` + "\n"
	)
	for _, tt := range []struct {
		name, stdin string
		lines       int
		said        []string
		err         string
	}{
		{"notification, then a request", cancelled + call, 2, []string{unknown, second}, ""},
		{"request, then a notification", call + cancelled, 2, []string{second, unknown}, ""},
		{"two requests, answered out of turn", ping + "\n" + call, 2, []string{second, pong}, ""},
		{"a request of the host's", call, 1, []string{`{"id":2,"method":"roots/list"}` + "\n", second}, ""},
		{"an answer that nobody asked for", call, 1, []string{pong, second}, ""},
		{"garbage, then a notification", "garbage\n" + cancelled, 2, []string{garbled, unknown}, ""},
		{"notification, then garbage", cancelled + "garbage\n", 2, []string{unknown, garbled}, ""},
		{"one id twice", ping + "\n" + ping + "\n", 2, []string{pong, pong}, ""},
		{"an id of another spelling", strings.Replace(call, "2,", "2.0,", 1), 1, []string{second}, ""},
		{"a text for an id", strings.Replace(call, "2,", `"\u0061",`, 1), 1, []string{strings.Replace(second, "2,", `"a",`, 1)}, ""},
		{"cancelled and answered all the same", ping + "\n" + cancelled, 2, []string{pong, unknown}, ""},
		{"cancelled and not answered", ping + "\n" + cancelled, 2, []string{""}, ""},
		{"only others answered", ping + "\n" + call, 2, []string{second, second}, "no answer within 30s"},
		{"a line too long for the gateway", strings.Repeat(" ", maxRequest) + call, 1, []string{`{"error":{"code":-32600,"message":"request too large"}}` + "\n"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stdout, _, err := talk(t, tt.stdin, func(c net.Conn, in *bufio.Reader) {
				for range tt.lines {
					_, _ = in.ReadString('\n')
				}
				for _, said := range tt.said {
					time.Sleep(100 * time.Millisecond) // of the bubble's time
					_, _ = io.WriteString(c, said)
				}
			})
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, strings.Join(tt.said, ""), stdout)
		})
	}
}
