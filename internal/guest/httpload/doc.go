// Package httpload sends the HTTP requests of the http, throughput and load
// benchmarks: many small GETs over kept connections, and one large download.
//
// Requests go through fasthttp's HostClient, one for each worker and origin,
// because at concurrency 64 it makes about 1.5 times the requests of net/http.
// What this package adds is a dialer that tells connecting, the proxy's CONNECT
// and the TLS handshake apart, the names of failures, and the accounting: a
// failed request has no time, and is counted by its reason.
//
// Certificates are verified. The roots are the system's and those of
// SSL_CERT_FILE and SSL_CERT_DIR; the proxy is that of HTTPS_PROXY, HTTP_PROXY
// and NO_PROXY. Redirects are followed. There is no HTTP/2 (Capsem's proxy
// speaks HTTP/1.1 only), no cookie and no compression.
package httpload
