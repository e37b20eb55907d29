package upstream

import (
	"io"
	"net"
	"net/http"
	"strconv"
)

// faultSize is how much of a body arrives before it breaks off: more than
// sockets and buffers between the two ends hold.
const faultSize = 8 << 20

// addFaults adds answers that go wrong in the way their path says:
//
//	/fault/half       half of the stated length, then the end
//	/fault/chunked    chunks without the last one
//	/fault/reset      a reset instead of an answer
//	/fault/midreset   a reset after half of the stated length
//	/fault/500        status 500
//	/fault/hang       nothing until the client gives up
//	/fault/stall      half of the stated length, then nothing
func addFaults(mux *http.ServeMux, data *source) {
	half := func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", strconv.Itoa(2*faultSize))
		_, _ = io.Copy(w, data.object(faultSize))
		_ = http.NewResponseController(w).Flush()
	}
	mux.HandleFunc("/fault/half", func(w http.ResponseWriter, _ *http.Request) {
		half(w)
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/fault/chunked", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, data.object(faultSize))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/fault/reset", func(w http.ResponseWriter, _ *http.Request) { reset(w) })
	mux.HandleFunc("/fault/midreset", func(w http.ResponseWriter, _ *http.Request) {
		half(w)
		reset(w)
	})
	mux.HandleFunc("/fault/500", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this origin fails on purpose", http.StatusInternalServerError)
	})
	mux.HandleFunc("/fault/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/fault/stall", func(w http.ResponseWriter, r *http.Request) {
		half(w)
		<-r.Context().Done()
	})
}

// reset closes the socket below TLS in a way that sends a reset.
func reset(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for {
		inner, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = inner.NetConn()
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
