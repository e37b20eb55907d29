// Package contract holds the texts that both ends of a protocol between guest
// and host use: names of programs and of variables, the line that begins a
// connection, the header of a page of text, the syntax of addresses and the
// names that a guest may reach. Guest and host import it; it imports the
// standard library alone. Package vmconfig has what only a QEMU guest needs.
//
// The names, the metadata line and the page header are Capsem's.
package contract

import (
	"fmt"
	"strconv"
	"strings"
)

// The programs by their file names.
const (
	GuestBinary = "capsem-bench.test" // the benchmarks
	GuestTools  = "capsem-guest"      // one file that acts as the programs below
	Snapshots   = "snapshots"         // workspace snapshots from the command line
	Relay       = "capsem-mcp-server" // between stdio and the gateway
	Guestd      = "guestd"            // the services inside a guest
)

// ToolPrefix begins the name of every MCP tool that is about snapshots; the
// rest of it is the command of the program snapshots.
const ToolPrefix = "snapshots_"

// The variables that guest programs read; the package comment of
// cmd/capsem-guest says what they mean.
const (
	EnvGateway          = "CAPSEM_GATEWAY"
	EnvGatewayTimeout   = "CAPSEM_GATEWAY_TIMEOUT"
	EnvRelay            = "CAPSEM_MCP_SERVER"
	EnvSnapshotsTimeout = "CAPSEM_SNAPSHOTS_TIMEOUT"
)

// MetaPrefix begins the metadata line, the first of a connection to the proxy
// or the gateway. The name of the calling process and a newline follow.
const MetaPrefix = "\x00CAPSEM_META:"

// MetaLine returns the metadata line of a process, whose name has no newline.
func MetaLine(process string) string { return MetaPrefix + process + "\n" }

// ParseMetaLine returns the process that a metadata line names, and whether
// the line is one. The line comes without its newline.
func ParseMetaLine(line string) (process string, ok bool) {
	return strings.CutPrefix(strings.TrimSuffix(line, "\r"), MetaPrefix)
}

// AllowedHosts returns the host names of Capsem's default allow list that the
// benchmarks use.
func AllowedHosts() []string {
	return []string{"www.google.com", "google.com", "ash-speed.hetzner.com"}
}

// A Page says which part of a text an answer has. Its header stands before the
// part, with an empty line between them; a whole text has no header.
type Page struct{ Total, From, To int64 } // bytes

// Header returns the lines before the part.
func (p Page) Header() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Content length: %d\nShowing: %d..%d\n", p.Total, p.From, p.To)
	if p.To < p.Total {
		fmt.Fprintf(&b, "Use start_index=%d to continue.\n", p.To)
	}
	b.WriteByte('\n')
	return b.String()
}

// ParsePage returns the header of a page and the part below it. ok is false
// for a text that has no header.
func ParsePage(text string) (p Page, part string, ok bool) {
	head, part, found := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 {
		return Page{}, "", false
	}
	total, isTotal := strings.CutPrefix(lines[0], "Content length: ")
	shown, isShown := strings.CutPrefix(lines[1], "Showing: ")
	from, to, isRange := strings.Cut(shown, "..")
	if !isTotal || !isShown || !isRange {
		return Page{}, "", false
	}
	for _, n := range []struct {
		digits string
		value  *int64
	}{{total, &p.Total}, {from, &p.From}, {to, &p.To}} {
		v, err := strconv.ParseInt(n.digits, 10, 64)
		if err != nil || v < 0 {
			return Page{}, "", false
		}
		*n.value = v
	}
	return p, part, true
}

// BuiltInOrigin is what the stand-in's origin calls itself in the Server field of
// every answer, whatever the host name: figures of it are not figures of the web.
const BuiltInOrigin = "capsem-bench-origin"
