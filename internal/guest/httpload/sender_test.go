package httpload

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The status of the first request is what counts: a page that is refused now
// and then, or a dead upstream that answers at once, makes no rate better.
func TestSender(t *testing.T) {
	clearProxies(t)
	var served atomic.Int64
	o := newOrigin(t, "localhost", func(w http.ResponseWriter, r *http.Request) {
		switch n := served.Add(1); {
		case r.URL.Path == "/dead":
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/denied":
			w.WriteHeader(http.StatusForbidden)
		case n%2 == 0:
			w.WriteHeader(http.StatusBadGateway)
		default:
			fmt.Fprint(w, "page")
		}
	})
	trust(t, o.pem)
	for path, want := range map[string]int{"/": 200, "/dead": 502} {
		served.Store(0)
		client, err := New(o.URL+path, 0)
		require.NoError(t, err)
		status, builtIn, err := client.Probe(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, status)
		assert.False(t, builtIn)
		s, err := client.Sender(t.Context(), status)
		require.NoError(t, err)
		defer s.Close()
		for i := range 4 {
			answer, err := s.Do()
			if want == 200 && i%2 == 0 {
				assert.EqualError(t, err, "status 502")
				continue
			}
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprint("status ", want), answer)
		}
	}
	client, err := New(o.URL+"/denied", 0)
	require.NoError(t, err)
	_, _, err = client.Probe(t.Context())
	assert.ErrorContains(t, err, "status 403")
}

// An answer of the stand-in's origin is said, whatever name it answers for; that
// of another origin is not.
func TestAnsweredByBuiltInOrigin(t *testing.T) {
	for server, want := range map[string][]string{contract.BuiltInOrigin: {AnsweredByBuiltIn}, "gws": nil, "": nil} {
		o := newOrigin(t, "localhost", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", server)
			fmt.Fprint(w, "page")
		})
		trust(t, o.pem)
		r := load(t, o.URL+"/", 0, 3, 2)
		require.NoError(t, r.Err())
		assert.Equal(t, want, r.Doubts(), server)
		d, err := Fetch(t.Context(), o.URL+"/", 0)
		require.NoError(t, err)
		assert.Equal(t, want, d.Doubts(), server)
		client, err := New(o.URL+"/", 0)
		require.NoError(t, err)
		_, builtIn, err := client.Probe(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want != nil, builtIn, server)
	}
}

// A fresh sender has a connection for each request, whatever the answer; a kept
// one has one for all.
func TestFreshSender(t *testing.T) {
	clearProxies(t)
	remotes := make(chan string, 100)
	o := newOrigin(t, "localhost", func(w http.ResponseWriter, r *http.Request) {
		remotes <- r.RemoteAddr
		fmt.Fprint(w, "page")
	})
	trust(t, o.pem)
	client, err := New(o.URL+"/", 0)
	require.NoError(t, err)
	for want, sender := range map[int]func(*Client, context.Context, int) (*Sender, error){1: (*Client).Sender, 5: (*Client).FreshSender} {
		s, err := sender(client, t.Context(), http.StatusOK)
		require.NoError(t, err)
		seen := make(map[string]bool)
		for range 5 {
			_, err := s.Do()
			require.NoError(t, err)
			seen[<-remotes] = true
		}
		s.Close()
		assert.Len(t, seen, want)

		s, err = sender(client, t.Context(), http.StatusBadGateway) // the page is then a failure
		require.NoError(t, err)
		clear(seen)
		for range 5 {
			_, err := s.Do()
			require.Error(t, err)
			seen[<-remotes] = true
		}
		s.Close()
		assert.Len(t, seen, want, "of requests that failed")
	}
}

// Handshakes are of one name, or each of a name of its own below it, through the
// proxy where there is one, and no request is sent.
func TestHandshaker(t *testing.T) {
	for _, proxied := range []bool{false, true} {
		clearProxies(t)
		o := newOrigin(t, "*.example.org", func(http.ResponseWriter, *http.Request) { t.Error("a request") })
		trust(t, o.pem)
		address := o.Listener.Addr().String()
		if proxied {
			proxy, _ := tunnelProxy(t, address)
			t.Setenv("HTTPS_PROXY", proxy.String())
		}
		for name, mint := range map[string]bool{"https://www.example.org/": false, "https://example.org/": true} {
			client, err := New(name, 0)
			require.NoError(t, err)
			if !proxied {
				client.address = address
			}
			h, err := client.Handshaker(t.Context(), mint)
			require.NoError(t, err)
			for range 3 {
				_, err := h.Do()
				assert.NoError(t, err, "%s proxied %v", name, proxied)
			}
			h.Close()
		}
	}
	clearProxies(t)
	for _, name := range []string{"https://127.0.0.1/", "http://example.org/"} {
		client, err := New(name, 0)
		require.NoError(t, err)
		_, err = client.Handshaker(t.Context(), true)
		assert.Error(t, err, name)
	}
}

// A direct client has neither the proxy of the environment nor the address of
// the name.
func TestDirect(t *testing.T) {
	clearProxies(t)
	o := newOrigin(t, "www.google.com", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) })
	trust(t, o.pem)
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	client, err := NewDirect("https://www.google.com/", o.Listener.Addr().String(), 0)
	require.NoError(t, err)
	status, _, err := client.Probe(t.Context())
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, status)
	_, err = NewDirect("https://www.google.com/", "no port", 0)
	assert.ErrorContains(t, err, `"no port" is no HOST:PORT`)
}
