package catalogue

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Load is the category of load: requests for a time, at several levels of
// concurrency. It takes minutes, so it is measured where it is named, and its
// operations are no part of [Ops].
const Load Category = "load"

// A LoadMode is one service under load, by the name that Capsem's own tool has
// for it.
type LoadMode string

const (
	MITMLoad LoadMode = "mitm-load" // HTTP requests through the proxy
	MCPLoad  LoadMode = "mcp-load"  // MCP tool calls through the gateway
	DNSLoad  LoadMode = "dns-load"  // DNS queries to the guest's resolver
)

// LoadModes returns the modes in report order.
func LoadModes() []LoadMode { return []LoadMode{MITMLoad, MCPLoad, DNSLoad} }

// The protocols of load, which names of operations have.
const (
	LoadHTTP       = "http"        // requests over kept connections
	LoadHTTPNew    = "http-new"    // a new connection for each, of a name that the proxy has a certificate of
	LoadTLS        = "tls"         // connections and their handshakes alone, of such a name
	LoadTLSMint    = "tls-mint"    // the same of a new name each, whose certificate the proxy mints
	LoadHTTPOrigin = "http-origin" // requests that an origin answers, over kept connections through the proxy
	LoadHTTPDirect = "http-direct" // the same past the proxy
	LoadMCP        = "mcp"         // calls of echo, C in flight over one relay
	LoadMCPRelays  = "mcp-relays"  // calls of echo over C relays
	LoadMCPList    = "mcp-list"    // snapshots_list, C in flight over one relay
	LoadDNS        = "dns"         // queries over UDP
)

// Protocols are what a mode measures. Capsem's tool has the first of each.
func (m LoadMode) Protocols() []string {
	switch m {
	case MCPLoad:
		return []string{LoadMCP, LoadMCPRelays, LoadMCPList}
	case DNSLoad:
		return []string{LoadDNS}
	}
	return []string{LoadHTTP, LoadHTTPNew, LoadTLS, LoadTLSMint, LoadHTTPOrigin, LoadHTTPDirect}
}

// Section is the mode's key in Capsem's JSON.
func (m LoadMode) Section() string { return strings.ReplaceAll(string(m), "-", "_") }

// Variable returns the setting of this mode alone, which counts before the
// common one: CAPSEM_BENCH_MITM_LOAD_DURATION_S.
func (m LoadMode) Variable(common string) string {
	return envPrefix + strings.ToUpper(m.Section()) + "_" + strings.TrimPrefix(common, envPrefix)
}

// The defaults of load are Capsem's.
const (
	DefaultLoadSeconds = 10
	DefaultLoadLevels  = "1,10,50,200"
	// DefaultLoadTarget has no address: the proxy does all its work, and its
	// upstream fails at once.
	DefaultLoadTarget = "https://thisdomaindoesnotexistforsur3.ai/"
	DefaultDNSName    = "load-test.capsem-bogus"
	DefaultMCPPayload = "ping"
	EchoTool          = "local__echo" // what mcp-load calls
	DefaultDNSServer  = "127.0.0.1:53"
)

// LoadOp is the operation of one protocol at one level of concurrency, in a
// closed loop or, with a rate, in an open one. A rate is requests a second or,
// as "50%", a share of what the closed loop of that level reaches.
func LoadOp(protocol string, concurrency int, rate string) Op {
	needs := "the proxy or a network"
	switch protocol {
	case LoadDNS:
		needs = "a resolver"
	case LoadMCP, LoadMCPRelays, LoadMCPList:
		needs = "the MCP gateway"
	case LoadHTTPDirect:
		needs = "a way past the proxy"
	}
	op := Op{
		Category: Load,
		ID:       fmt.Sprintf("load/%s/%d", protocol, concurrency),
		Name:     fmt.Sprintf("Load/proto=%s/c=%d", protocol, concurrency),
		// Percentiles are there where there are requests enough for them.
		Units:   []string{"req/s", "p50-ns", "max-ns", "ns/op", "errors", "maxrss-B"},
		Primary: []string{"req/s", "p95-ns"},
		Needs:   needs,
	}
	if rate != "" {
		op.ID += "/rate=" + rate
		op.Name += "/rate=" + rate
		op.Primary = []string{"p95-ns"}
	}
	return op
}

// lookupLoad finds the operation of a name of LoadOp, whatever its level.
func lookupLoad(name string) (Op, bool) {
	parts := strings.Split(name, "/")
	if len(parts) < 3 || len(parts) > 4 || parts[0] != Load.Benchmark() {
		return Op{}, false
	}
	protocol, isProtocol := strings.CutPrefix(parts[1], "proto=")
	level, isLevel := strings.CutPrefix(parts[2], "c=")
	c, err := strconv.Atoi(level)
	rate := ""
	if len(parts) == 4 {
		var isRate bool
		if rate, isRate = strings.CutPrefix(parts[3], "rate="); !isRate || rate == "" {
			return Op{}, false
		}
	}
	known := slices.ContainsFunc(LoadModes(), func(m LoadMode) bool { return slices.Contains(m.Protocols(), protocol) })
	if !isProtocol || !isLevel || err != nil || c < 1 || level != strconv.Itoa(c) || !known {
		return Op{}, false
	}
	return LoadOp(protocol, c, rate), true
}
