# Every recipe is one line that can be typed without just.

set shell := ["bash", "-euo", "pipefail", "-c"]

_default:
    @just --list --unsorted

# The tests.
test *args:
    go test ./... {{ args }}

# All categories in a VM: JSON to stdout and results/<time>-<id>, tables to stderr.
bench *args: _vm-setup
    .bin/capsem-bench run --sandbox qemu {{ args }}

# One command in a fresh VM, with its output and exit status: just run "capsem-bench snapshot".
run command: _vm-setup
    .bin/capsem-bench vm exec --out results/$(date -u +%Y%m%d-%H%M%S)-exec -- sh -c {{ quote(command) }}

# Unit tests, tests in real VMs, then the benchmarks in a VM.
full-test: test _vm-test bench

# What a session did: the newest one, or SESSION.
inspect-session *session:
    go run ./cmd/capsem-bench session inspect {{ session }}

# The sessions kept here, newest first.
list-sessions:
    go run ./cmd/capsem-bench session list

# Ask the newest session's database: just query-session "SELECT * FROM mcp_calls LIMIT 3".
query-session sql *session:
    go run ./cmd/capsem-bench session query {{ quote(sql) }} {{ session }}

# golangci-lint, built from the version that .ci/lint.mod pins.
lint *args:
    go tool -modfile=.ci/lint.mod golangci-lint run {{ args }}

# Each fuzz target for TIME.
fuzz time="1m":
    .ci/fuzz {{ time }}

# How often the gate is wrong, over synthetic releases.
gate-check *args:
    go run ./internal/gatecheck {{ args }}

# The gate on this machine's own boots: 40 of one build, split 200 times; then
# trials with slowdowns that are there. It takes an hour; just aa snapshot less.
[private]
aa *args: && _ab-test
    go run ./internal/aa {{ args }}

# The guest binary's figures beside those of fio, dd, hyperfine, curl, wrk and hey, as root.
accuracy *args:
    go run ./internal/accuracy {{ args }}

# Targets of speed and size, beside fio, hey, wrk, curl, hyperfine and benchstat, as root.
speed *args:
    go run ./internal/speed {{ args }}

# Real trials of two builds that differ in a sleep in the gateway, in a slower
# proxy, in guest commands built for debugging, in an image of VMs made for it:
# that is named, and nothing else.
_ab-test: _vm-setup
    go run ./internal/aa -delay snapshots_create=200ms
    go run ./internal/aa -delay proxy=20ms,proxy_mib=10ms
    go run ./internal/aa -debug
    go run ./internal/aa -image

# What the other recipes and the tests need, from the system's packages.
_setup:
    .ci/setup

# go vet for every system it has to build on.
_vet:
    for os in linux/amd64 linux/arm64 darwin/arm64; do echo "vet $os"; GOOS=${os%/*} GOARCH=${os#*/} CGO_ENABLED=0 go vet ./...; done

# go.mod and go.sum say what is used, and no more.
_tidy:
    go mod tidy -diff

# Results that Capsem wrote are read, where a directory of them is at hand.
_import dir="../shared/data":
    for f in {{ dir }}/*.json; do [ ! -e "$f" ] || go run ./cmd/capsem-bench import "$f" | grep -c '^Benchmark'; done

# The result files of a directory, where there is one, compared in pairs.
_pairs dir="../shared/data":
    [ ! -d {{ dir }} ] || go test -count 1 -v -run TestResultFilePairs ./cmd/capsem-bench -results "$(realpath {{ dir }})" | grep -E '^ *---|^ok|^FAIL'

# The tests under the race detector; none may be skipped for want of a tool.
# Those of the guest binary run another process, which is not under it.
_race:
    go test -race -v $(go list ./... | grep -v /internal/guesttest$) | .ci/no-skips
    go test -v -run Arm64 ./internal/guesttest | .ci/no-skips

# A stock MCP client from npm against the gateway, through the guest's relay.
_mcp:
    .ci/mcp

# The command where the recipes for VMs find it.
_build:
    CGO_ENABLED=0 go build -o .bin/capsem-bench ./cmd/capsem-bench

# What VMs need, from the system's packages.
_vm-setup: _build
    .bin/capsem-bench vm setup

# Tests that boot real VMs.
_vm-test: _vm-setup
    go test -tags vmtest -run TestVM -count 1 -p 1 -parallel 4 -timeout 30m ./sandbox ./cmd/capsem-bench

# An arm64 guest, emulated where this machine is another: its programs work, and
# it runs the disk category.
_vm-arm64: _build
    .bin/capsem-bench vm setup --arch arm64
    .bin/capsem-bench vm exec --arch arm64 -- sh -c 'uname -m; python3 --version; curl -fsS https://www.google.com/ >/dev/null'
    .bin/capsem-bench run --sandbox qemu --arch arm64 disk

# What a VM costs beyond the emptiest one: at most twice as long.
_vm-floor: _vm-setup
    .bin/capsem-bench vm floor --limit 2
