package catalogue

import (
	"fmt"
	"slices"
	"strings"
)

// The environment variables by name. [Environment] says what they mean.
const (
	EnvDir             = "CAPSEM_BENCH_DIR"
	EnvWorkspace       = "CAPSEM_BENCH_WORKSPACE"
	EnvSizeMB          = "CAPSEM_BENCH_SIZE_MB"
	EnvRequests        = "CAPSEM_BENCH_HTTP_N"
	EnvConcurrency     = "CAPSEM_BENCH_HTTP_C"
	EnvURL             = "CAPSEM_BENCH_HTTP_URL"
	EnvCLIs            = "CAPSEM_BENCH_CLIS"
	EnvThroughputURL   = "CAPSEM_BENCH_THROUGHPUT_URL"
	EnvLoadConcurrency = "CAPSEM_BENCH_CONCURRENCY"
	EnvLoadSeconds     = "CAPSEM_BENCH_DURATION_S"
	EnvLoadRate        = "CAPSEM_BENCH_RATE"
	EnvStorageDirs     = "CAPSEM_BENCH_STORAGE_DIRS"
	EnvStorageMB       = "CAPSEM_BENCH_STORAGE_MB"
	EnvDirect          = "CAPSEM_BENCH_DIRECT"
	EnvMCPPayload      = "CAPSEM_BENCH_MCP_PAYLOAD"
	EnvLoadTarget      = "CAPSEM_BENCH_MITM_TARGET"
	EnvDNSName         = "CAPSEM_BENCH_DNS_QNAME"
	EnvDNSServer       = "CAPSEM_BENCH_DNS_SERVER"
	EnvSeed            = "CAPSEM_BENCH_SEED"
	EnvTimeout         = "CAPSEM_BENCH_TIMEOUT"
	EnvCLITimeout      = "CAPSEM_BENCH_CLI_TIMEOUT"
	EnvSnapshotTimeout = "CAPSEM_BENCH_SNAPSHOT_TIMEOUT"
	EnvShared          = "CAPSEM_BENCH_SNAPSHOT_SHARED"
	EnvDelay           = "CAPSEM_BENCH_DELAY"
	EnvSandbox         = "CAPSEM_BENCH_SANDBOX"
	EnvAccel           = "CAPSEM_BENCH_ACCEL"
	EnvImage           = "CAPSEM_BENCH_IMAGE"
	EnvHostCaches      = "CAPSEM_BENCH_HOST_CACHES"
	EnvDropped         = "CAPSEM_BENCH_DROPPED"
	EnvLabels          = "CAPSEM_BENCH_LABELS"
	EnvBuild           = "CAPSEM_BENCH_BUILD"
	EnvResults         = "CAPSEM_BENCH_RESULTS"
	EnvTest            = "CAPSEM_BENCH_TEST"
	EnvCommand         = "CAPSEM_BENCH_COMMAND"
	EnvGuest           = "CAPSEM_GUEST"
)

// The values of EnvDropped.
const (
	DroppedAll   = "all"
	DroppedFiles = "files"
)

// A Scope says who reads a setting, and so who hands it on.
type Scope string

const (
	// ForWork is what is measured. Every sandbox hands it to its guest, and a
	// trial of two builds has it in its plan.
	ForWork Scope = "work"
	// ForPlace is where the guest is: a directory or an address of the machine
	// that is measured. A sandbox hands it on unless it decides that itself.
	ForPlace Scope = "place"
	// ForHost is for the command on the host and never reaches a guest.
	ForHost Scope = "host"
)

// A Setting is one environment variable.
type Setting struct {
	Env     string
	Scope   Scope
	Default string // in words; "" is none
	Doc     string // half a sentence
}

// Environment returns every variable that the guest binary and the command
// read, in the order in which help shows them. What guest, sandboxes, plans,
// help and documentation say of a variable comes from here.
func Environment() []Setting {
	return []Setting{
		{EnvDir, ForPlace, "the home directory", "where the scratch directory is made, on the machine that is measured"},
		{EnvWorkspace, ForPlace, "the home directory", "root of the workspace that snapshots are taken of"},
		{EnvSizeMB, ForWork, "256", "size of the sequential disk file in MiB"},
		{EnvCLIs, ForWork, DefaultCLIs, "commands that startup starts, as python3,mytool --help; one without arguments gets --version"},
		{EnvURL, ForWork, DefaultHTTPURL, "what http requests"},
		{EnvRequests, ForWork, "50", "requests of http"},
		{EnvConcurrency, ForWork, "5", "connections of http"},
		{EnvThroughputURL, ForWork, DefaultThroughputURL, "what throughput downloads"},
		{EnvLoadConcurrency, ForWork, DefaultLoadLevels, "levels of concurrency of load"},
		{MITMLoad.Variable(EnvLoadConcurrency), ForWork, "", "the same of mitm-load alone"},
		{MCPLoad.Variable(EnvLoadConcurrency), ForWork, "", "the same of mcp-load alone"},
		{DNSLoad.Variable(EnvLoadConcurrency), ForWork, "", "the same of dns-load alone"},
		{EnvLoadSeconds, ForWork, "10", "seconds of each level of load"},
		{MITMLoad.Variable(EnvLoadSeconds), ForWork, "", "the same of mitm-load alone"},
		{MCPLoad.Variable(EnvLoadSeconds), ForWork, "", "the same of mcp-load alone"},
		{DNSLoad.Variable(EnvLoadSeconds), ForWork, "", "the same of dns-load alone"},
		{EnvLoadRate, ForWork, "", "requests a second of load on a schedule, answered or not, or shares of what the closed loop reaches, as 50%,80%; without it each connection waits for its answer"},
		{EnvLoadTarget, ForWork, DefaultLoadTarget, "what mitm-load requests"},
		{EnvDirect, ForPlace, "", "HOST:PORT of the origin of CAPSEM_BENCH_HTTP_URL, for load to ask it past the proxy"},
		{EnvMCPPayload, ForWork, DefaultMCPPayload, "the text that mcp-load has sent back"},
		{EnvDNSName, ForWork, DefaultDNSName, "the name that dns-load asks for"},
		{EnvDNSServer, ForPlace, DefaultDNSServer, "the resolver that dns-load asks"},
		{EnvStorageDirs, ForWork, DefaultStorageDirs, "directories of storage, one on each writable mount"},
		{EnvStorageMB, ForWork, "64", "size of a sequential file of storage in MiB"},
		{EnvSeed, ForWork, "1", "seed of offsets and data"},
		{EnvTimeout, ForWork, "5m", "limit of one pass"},
		{EnvCLITimeout, ForWork, "60s", "limit of one start of a command"},
		{EnvSnapshotTimeout, ForWork, "30s", "limit of one snapshots call"},
		{EnvShared, ForWork, "", "1 measures snapshots beside the user's own"},
		{EnvDelay, ForWork, "", "slows the stand-in services on purpose, such as proxy=5ms"},
		{EnvSandbox, ForPlace, "", "name of the sandbox, which sets it"},
		{EnvAccel, ForPlace, "", "kvm or tcg, set by the sandbox"},
		{EnvImage, ForPlace, "", "digest of the VM's image, set by the sandbox"},
		{EnvHostCaches, ForPlace, "", "vsock:CID:PORT or unix:PATH of the service that drops the host's caches"},
		{EnvDropped, ForPlace, DroppedAll, "the caches that root drops before a cold pass: all is the whole machine's, files those of the files measured, for a machine that others use too"},
		{EnvLabels, ForPlace, "", "what is measured, as release=1.4.0,commit=abc; kept in the run line"},
		{EnvBuild, ForPlace, "", "commit, dirty and date of the command, which sets it; kept in the run line"},
		{EnvResults, ForHost, "", "directory for runs without --out, each in one of its own"},
		{EnvTest, ForHost, "found or built", "the guest binary"},
		{EnvGuest, ForHost, "found or built", "the guest's commands"},
		{EnvCommand, ForHost, "found or built", "capsem-bench for a VM"},
	}
}

// envPrefix begins the name of every setting but EnvGuest.
const envPrefix = "CAPSEM_BENCH_"

// LookupSetting finds a setting by the name of its variable.
func LookupSetting(env string) (Setting, bool) {
	table := Environment()
	if i := slices.IndexFunc(table, func(s Setting) bool { return s.Env == env }); i >= 0 {
		return table[i], true
	}
	return Setting{}, false
}

// SettingsOf returns the settings of an environment of KEY=value whose scope is
// one of those given, in its order. A variable with the prefix of our settings
// that the table does not have counts as ForWork: the guest binary may be of
// another version, and knows it.
func SettingsOf(env []string, scopes ...Scope) []string {
	var out []string
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		s, ok := LookupSetting(name)
		if !ok && strings.HasPrefix(name, envPrefix) {
			s.Scope, ok = ForWork, true
		}
		if ok && slices.Contains(scopes, s.Scope) {
			out = append(out, kv)
		}
	}
	return out
}

// UnknownSettings returns a remark on each variable of an environment that has
// the prefix of our settings and is none of them, with the nearest name.
func UnknownSettings(env []string) []string {
	var out []string
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if _, ok := LookupSetting(name); ok || !strings.HasPrefix(name, envPrefix) {
			continue
		}
		remark := fmt.Sprintf("%.80q in the environment is no setting", name)
		if near := nearest(name); near != "" {
			remark += "; did you mean " + near + "?"
		}
		out = append(out, remark)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// nearest is the setting that the name begins, else the one that differs least;
// "" if all differ in half, and more than three, of the bytes after the prefix.
func nearest(name string) string {
	if name == envPrefix {
		return ""
	}
	best, least := "", max(3, (len(name)-len(envPrefix))/2)
	for _, s := range Environment() {
		if strings.HasPrefix(s.Env, name) {
			return s.Env
		}
		if d := Distance(strings.ToUpper(name), s.Env); d <= least && (best == "" || d < least) {
			best, least = s.Env, d
		}
	}
	return best
}

// Distance is how many bytes have to be inserted, removed, replaced or exchanged
// with the next one to make b of a (optimal string alignment).
func Distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
