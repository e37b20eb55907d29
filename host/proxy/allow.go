package proxy

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/host/internal/leafcert"
)

// ruleDefault is the matched rule of a request that no pattern speaks for.
const ruleDefault = "default"

// allowList holds exact names, and suffixes that start with a dot.
type allowList struct{ exact, below map[string]string }

func newAllowList(patterns []string) (allowList, error) {
	l := allowList{exact: make(map[string]string), below: make(map[string]string)}
	for _, pattern := range patterns {
		name, below := strings.CutPrefix(pattern, "*.")
		host, err := leafcert.Host(name)
		if err != nil {
			return l, fmt.Errorf("allow list: %w; want a host name or \"*.\" and one", err)
		}
		if below && net.ParseIP(host) != nil {
			return l, fmt.Errorf("allow list: %q: there are no names below an address", pattern)
		}
		if below {
			l.below[host] = pattern
		} else {
			l.exact[host] = pattern
		}
	}
	return l, nil
}

// match returns the pattern that allows a host in leafcert.Host's form, or
// "default" and false. The longest suffix wins.
func (l allowList) match(host string) (rule string, allowed bool) {
	if rule, ok := l.exact[host]; ok {
		return rule, true
	}
	for rest := host; ; {
		_, after, more := strings.Cut(rest, ".")
		if !more {
			return ruleDefault, false
		}
		if rule, ok := l.below[after]; ok {
			return rule, true
		}
		rest = after
	}
}

// splitHostPort parses "host", "host:port", "[v6]" and "[v6]:port" from
// outside. The host comes back in leafcert.Host's form; the port is the default
// one if there is none.
func splitHostPort(s string, defaultPort int) (host string, port int, err error) {
	name, port := s, defaultPort
	if h, digits, err := net.SplitHostPort(s); err == nil {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("%q: want a port from 1 to 65535", s)
		}
		name, port = h, int(n)
	}
	host, err = leafcert.Host(name)
	return host, port, err
}
