package guest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// proxyFor returns the proxy that the environment names for a URL, or nil.
// The rules are those of Go's own client: HTTPS_PROXY for https, HTTP_PROXY
// for http (not in a CGI process, where a request could set it), either in
// lower case too; NO_PROXY; and never for localhost.
func proxyFor(target *url.URL) (*url.URL, error) {
	name := "HTTPS_PROXY"
	if target.Scheme == "http" {
		name = "HTTP_PROXY"
		if os.Getenv("REQUEST_METHOD") != "" {
			return nil, nil
		}
	}
	value := firstEnv(name, strings.ToLower(name))
	if value == "" || isLocal(target.Hostname()) || excluded(firstEnv("NO_PROXY", "no_proxy"), target) {
		return nil, nil
	}
	return parseProxy(name, value)
}

func firstEnv(names ...string) string {
	for _, name := range names {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// parseProxy never repeats the value in an error: it may hold a password.
func parseProxy(name, value string) (*url.URL, error) {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	proxy, err := url.Parse(value)
	if err != nil || proxy.Hostname() == "" {
		return nil, fmt.Errorf("%s is no URL; want http://host:port", name)
	}
	if proxy.Scheme != "http" && proxy.Scheme != "https" {
		return nil, fmt.Errorf("%s has the scheme %q; want http or https", name, proxy.Scheme)
	}
	return proxy, nil
}

func isLocal(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// excluded reports whether a NO_PROXY list covers the target: "*", names with
// all their subdomains, ".names" of subdomains alone, addresses, networks;
// each with an optional port.
func excluded(list string, target *url.URL) bool {
	host := strings.TrimSuffix(strings.ToLower(target.Hostname()), ".")
	addr, addrErr := netip.ParseAddr(host)
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.ToLower(strings.TrimSpace(entry))
		if entry == "*" {
			return true
		}
		if network, err := netip.ParsePrefix(entry); err == nil {
			if addrErr == nil && network.Contains(addr.Unmap()) {
				return true
			}
			continue
		}
		if name, port, err := net.SplitHostPort(entry); err == nil {
			if port != portOf(target) {
				continue
			}
			entry = name
		}
		if matchesName(strings.Trim(entry, "[]"), host) {
			return true
		}
	}
	return false
}

func matchesName(entry, host string) bool {
	entry = strings.TrimPrefix(entry, "*")
	switch {
	case entry == "":
		return false
	case strings.HasPrefix(entry, "."):
		return strings.HasSuffix(host, entry)
	}
	return host == entry || strings.HasSuffix(host, "."+entry)
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

func hostPort(u *url.URL) string { return net.JoinHostPort(u.Hostname(), portOf(u)) }

// basicAuth returns the value of an Authorization field, or "".
func basicAuth(user *url.Userinfo) string {
	if user == nil {
		return ""
	}
	password, _ := user.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
}

// connectRequest asks a proxy for a tunnel.
func connectRequest(target, proxy *url.URL) []byte {
	req := "CONNECT " + hostPort(target) + " HTTP/1.1\r\nHost: " + hostPort(target) + "\r\nUser-Agent: " + userAgent + "\r\n"
	if auth := basicAuth(proxy.User); auth != "" {
		req += "Proxy-Authorization: " + auth + "\r\n"
	}
	return []byte(req + "\r\n")
}

// tunnel asks the proxy at the other end of conn for a tunnel to the target.
func tunnel(conn net.Conn, target, proxy *url.URL) error {
	if _, err := conn.Write(connectRequest(target, proxy)); err != nil {
		return err
	}
	// The header is read byte by byte: what follows it belongs to TLS.
	p := newResponseReader(oneByte{conn})
	if err := p.readHead("CONNECT"); err != nil {
		return err
	}
	if p.head.status >= 300 {
		return statusError(p.head.status)
	}
	if p.buffered() > 0 {
		return errors.New("bytes after the proxy's answer")
	}
	return nil
}

// oneByte reads a single byte at a time.
type oneByte struct{ net.Conn }

func (r oneByte) Read(b []byte) (int, error) {
	if len(b) > 1 {
		b = b[:1]
	}
	return r.Conn.Read(b)
}
