// Package vmconfig is the contract between the host and the guest of a QEMU
// sandbox: vsock ports, the configuration that the host hands over, and what
// the guest says on its console while it boots.
//
// The guest has no network card and no disk of its own that the host could
// write to, so its configuration is part of the initramfs: the kernel accepts
// several cpio archives one after the other, and the last one is made for
// each VM. It holds /init, which is capsem-guest, and Path.
//
// All connections are vsock. The guest calls the host (CID 2) for the proxy,
// the gateway and the caches; the host calls the guest for SSH, as root, with a key pair
// made for this VM. The host key is made by the host too: it knows which VM
// it speaks to. Ports of the host are in Config, because with the kernel's
// vhost-vsock all VMs of a host share them.
//
// Nothing that comes back is trusted: the console is text for people.
package vmconfig

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The vsock ports. ProxyPort and GatewayPort are Capsem's.
const (
	ProxyPort   = 5002 // host: TLS, CONNECT or HTTP, after a metadata line
	GatewayPort = 5003 // host: MCP, newline-delimited, after a metadata line
	CachesPort  = 5004 // host: a connection asks for its caches to be dropped
	SSHPort     = 22   // guest
)

// ClockRequest is a global request of SSH (RFC 4254, section 4) that the guest
// answers with its clock: Unix nanoseconds in eight bytes, the highest first.
const ClockRequest = "clock@capsem-bench"

// HostCID is the host's end of every VM (vsock(7)).
const HostCID = 2

// Path is where the guest finds its configuration in the initramfs.
const Path = "/capsem/config.json"

// Hostname is what a Capsem VM calls itself.
const Hostname = "capsem"

// Home is the home directory of root, where the workspace is mounted.
const Home = "/root"

// WorkspaceTag is the virtiofs tag of the workspace.
const WorkspaceTag = "workspace"

// Program is where the guest keeps capsem-guest once it is up.
const Program = "/run/capsem-guest"

// ProgramsDir is the directory of the initramfs whose files the guest finds
// in RunDir, and by links in its PATH.
const ProgramsDir = "/programs"

// RunDir is where the guest keeps the programs of the initramfs.
const RunDir = "/run"

// A Mode is what a guest boots for.
type Mode string

const (
	ModeServe Mode = "serve" // mount everything and serve
	ModeProbe Mode = "probe" // say hello and power off: proof that guests run
)

// Config is what the host tells a guest.
type Config struct {
	Mode     Mode   `json:"mode"`
	Hostname string `json:"hostname,omitempty"`
	// TimeNS is the host's clock in Unix nanoseconds when the VM was started;
	// the guest adds what its own boot took.
	TimeNS      int64  `json:"time_ns,omitempty"`
	ProxyPort   uint32 `json:"proxy_port,omitempty"`
	GatewayPort uint32 `json:"gateway_port,omitempty"`
	CachesPort  uint32 `json:"caches_port,omitempty"`
	// CAPEM is the certificate of the proxy's authority.
	CAPEM string `json:"ca_pem,omitempty"`
	// AuthorizedKey is the one key that may log in, in authorized_keys form.
	AuthorizedKey string `json:"authorized_key,omitempty"`
	// HostKeyPEM is the guest's private host key, in OpenSSH's form.
	HostKeyPEM string `json:"host_key_pem,omitempty"`
	// Env is the environment of every command in the guest, as KEY=value.
	Env []string `json:"env,omitempty"`
}

// Decode reads the configuration.
func Decode(text []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("reading %s: %w", Path, err)
	}
	if c.Mode != ModeServe && c.Mode != ModeProbe {
		return c, fmt.Errorf("reading %s: unknown mode %q", Path, c.Mode)
	}
	return c, nil
}

// A Stage is a step of the boot.
type Stage string

// The stages, in the order in which a guest reaches them. Each names what is
// over when it is reported.
const (
	StageKernel   Stage = "kernel"   // the kernel has started init
	StageModules  Stage = "modules"  // drivers are loaded
	StageRootfs   Stage = "rootfs"   // overlay over the squashfs
	StageHome     Stage = "home"     // workspace mounted
	StageServices Stage = "services" // DNS, relays and SSH listen
	StageOff      Stage = "off"      // about to power off
	StageFailed   Stage = "failed"   // boot cannot go on; the text says why
)

const stagePrefix = "capsem-stage: "

// StageLine is how the guest reports a stage on its console: name, time since
// the kernel started in microseconds, and for a failure the reason.
func StageLine(s Stage, up time.Duration, reason string) string {
	line := stagePrefix + string(s) + " " + strconv.FormatInt(up.Microseconds(), 10)
	if reason != "" {
		line += " " + strings.Map(oneLine, reason)
	}
	return line + "\n"
}

func oneLine(r rune) rune {
	if r < ' ' {
		return ' '
	}
	return r
}

// ParseStage reads a line of the console. What the kernel printed before it
// on the same line does not matter.
func ParseStage(line string) (s Stage, up time.Duration, reason string, ok bool) {
	_, rest, found := strings.Cut(line, stagePrefix)
	if !found {
		return "", 0, "", false
	}
	name, rest, _ := strings.Cut(strings.TrimRight(rest, "\r\n"), " ")
	number, reason, _ := strings.Cut(rest, " ")
	us, err := strconv.ParseInt(number, 10, 64)
	if err != nil || us < 0 || us > int64(24*time.Hour/time.Microsecond) {
		return "", 0, "", false
	}
	switch s = Stage(name); s {
	case StageKernel, StageModules, StageRootfs, StageHome, StageServices, StageOff, StageFailed:
		return s, time.Duration(us) * time.Microsecond, reason, true
	}
	return "", 0, "", false
}
