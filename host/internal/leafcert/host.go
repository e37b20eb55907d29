package leafcert

import (
	"fmt"
	"net/netip"
	"strings"
)

// Host returns a host name or address from outside in the one form in which
// names are compared: lower case, without a final dot; addresses as netip
// writes them, IPv4 in IPv6 as IPv4, without brackets or zone. Everything
// else is an error: bytes beyond ASCII (names travel in their "xn--" form),
// empty or long labels, a last label of digits that is not an address.
func Host(s string) (string, error) {
	name := strings.TrimSuffix(s, ".")
	literal := name
	if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") {
		literal = name[1 : len(name)-1]
	}
	if addr, err := netip.ParseAddr(literal); err == nil && addr.Zone() == "" {
		return addr.Unmap().String(), nil
	}
	if len(name) > 253 {
		return "", fmt.Errorf("host name of %d bytes; at most 253 are possible", len(name))
	}
	label := ""
	for label = range strings.SplitSeq(name, ".") {
		if !validLabel(label) {
			return "", fmt.Errorf("%q is no host name", s)
		}
	}
	if strings.Trim(label, "0123456789") == "" {
		return "", fmt.Errorf("%q is neither a host name nor an address", s)
	}
	return strings.ToLower(name), nil
}

// validLabel allows the underscore, which real names have.
func validLabel(label string) bool {
	if label == "" || len(label) > 63 {
		return false
	}
	for _, c := range []byte(label) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
