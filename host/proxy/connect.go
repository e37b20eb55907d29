package proxy

import (
	"io"
	"net/http"
	"time"
)

// connect makes a tunnel to wherever a guest wants one: the policy speaks per
// request, inside it, where the guest can understand it.
func (s *server) connect(w http.ResponseWriter, r *http.Request, g *guest) {
	host, port, err := splitHostPort(r.Host, 443)
	if err != nil || r.ContentLength != 0 {
		g.refused(r.Method, r.Host, http.StatusBadRequest, "want CONNECT host:port without a body")
		http.Error(w, "Capsem: want CONNECT host:port without a body", http.StatusBadRequest)
		return
	}
	_, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // closes the connection
	}
	// A guest may speak before it has the answer.
	early, _ := buf.Peek(buf.Reader.Buffered())
	g.wire.Unread(early)
	inner := &guest{Conn: g.wire, wire: g.wire, slot: g.slot, process: g.process, host: host, port: port}
	_ = inner.SetWriteDeadline(time.Now().Add(s.p.limits.first))
	if _, err := io.WriteString(inner.wire, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		g.slot.release()
		return
	}
	s.enter(r.Context(), inner)
}
