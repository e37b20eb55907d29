package httpload

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/valyala/fasthttp"
	"golang.org/x/net/http/httpproxy"
)

// proxyRules returns the function that names the proxy of a URL, or nil for
// none. The rules are those of net/http: HTTPS_PROXY for https, HTTP_PROXY for
// http (not in a CGI process, where a request could set it), NO_PROXY, either
// in lower case too, and never a proxy for localhost.
func proxyRules() func(*url.URL) (*url.URL, error) {
	config := httpproxy.Config{
		HTTPProxy:  firstEnv("HTTP_PROXY", "http_proxy"), // httpproxy.FromEnvironment has lower case first
		HTTPSProxy: firstEnv("HTTPS_PROXY", "https_proxy"),
		NoProxy:    firstEnv("NO_PROXY", "no_proxy"),
	}
	if os.Getenv("REQUEST_METHOD") != "" {
		config.HTTPProxy = ""
	}
	choose := config.ProxyFunc()
	return func(u *url.URL) (*url.URL, error) {
		name, value := "HTTPS_PROXY", config.HTTPSProxy
		if u.Scheme == "http" {
			name, value = "HTTP_PROXY", config.HTTPProxy
		}
		// httpproxy ignores a value that it cannot read, and a direct
		// connection would be measured.
		if err := checkProxy(name, value); err != nil {
			return nil, err
		}
		return choose(u)
	}
}

func firstEnv(names ...string) string {
	for _, name := range names {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// checkProxy never repeats the value in an error: it may hold a password.
func checkProxy(name, value string) error {
	if value == "" {
		return nil
	}
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	proxy, err := url.Parse(value)
	if err != nil || proxy.Hostname() == "" {
		return fmt.Errorf("%s is no URL; want http://host:port", name)
	}
	if proxy.Scheme != "http" && proxy.Scheme != "https" {
		return fmt.Errorf("%s has the scheme %q; want http or https", name, proxy.Scheme)
	}
	return nil
}

// hostPort returns the address of a URL, with the port of its scheme if it
// names none.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// basicAuth returns the value of an Authorization field, or "".
func basicAuth(user *url.Userinfo) string {
	if user == nil {
		return ""
	}
	password, _ := user.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
}

// tunnel asks the proxy at the other end for a connection to the
// target (RFC 9110, section 9.3.6).
func tunnel(to net.Conn, target, proxy *url.URL) error {
	request := "CONNECT " + hostPort(target) + " HTTP/1.1\r\nHost: " + hostPort(target) + "\r\nUser-Agent: " + userAgent + "\r\n"
	if auth := basicAuth(proxy.User); auth != "" {
		request += "Proxy-Authorization: " + auth + "\r\n"
	}
	if _, err := to.Write([]byte(request + "\r\n")); err != nil {
		return err
	}
	watched := &conn{Conn: to}
	reader := bufio.NewReaderSize(watched, maxHeader)
	response := fasthttp.Response{SkipBody: true}
	if err := response.Read(reader); err != nil {
		return watched.cause(err, false)
	}
	if code := response.StatusCode(); code < 200 || code > 299 {
		return statusError(code)
	}
	if reader.Buffered() > 0 { // the server of a TLS connection speaks second
		return errors.New("bytes after the proxy's answer")
	}
	return nil
}
