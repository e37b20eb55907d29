# Every recipe is one line that can be typed without just.

set shell := ["bash", "-euo", "pipefail", "-c"]

_default:
    @just --list --unsorted

# The tests.
test *args:
    go test ./... {{ args }}

# The ten slowest tests and packages, with what they took.
[private]
test-times *args:
    go test -count 1 -json {{ args }} ./... | .ci/test-times

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

# actionlint over the workflows, those that docs/ shows too.
_actions:
    .ci/actions

# Each fuzz target for TIME.
fuzz time="1m":
    .ci/fuzz {{ time }}

# How often the gate is wrong, over synthetic releases.
gate-check *args:
    go run ./tools/gatecheck {{ args }}

# run, ab, serve and vm build killed at random moments, N times together, each by
# SIGKILL, SIGTERM or SIGINT; nothing of the user's may change.
[private]
kills n="200":
    go test ./cmd/capsem-bench -run TestKills -count 1 -v -timeout 60m -kills $(({{ n }} * 3 / 10))
    go test -tags vmtest ./cmd/capsem-bench -run TestVMKillBuild -count 1 -v -timeout 60m -build-kills $(({{ n }} / 10)) -build-window 90s

# Recorded boots measured again by the whole of ab: 60 trials of an unchanged
# build, 20 of each of four changes, all interrupted and gone on with.
[private]
ab-replays *args="-replays 60":
    go test -count 1 -v -timeout 40m -run TestReplays ./cmd/capsem-bench {{ args }} | grep -vE '^=== |^ *--- PASS.*/'

# The gate on this machine's own boots: 40 of one build, split 200 times; then
# trials with slowdowns that are there. It takes an hour; just aa snapshot less.
[private]
aa *args: && _ab-test _ab-trials
    go run ./tools/aa {{ args }}

# The figures beside those of fio, dd, hyperfine, curl, wrk, hey, vegeta and dnsperf, as root.
accuracy *args:
    go run ./tools/duels accuracy {{ args }}

# Targets of speed and size, beside fio, hey, wrk, curl, hyperfine and benchstat, as root.
speed *args:
    go run ./tools/duels speed {{ args }}

# A real trial of two builds that differ in a sleep in the gateway: it is named, and nothing that it does not touch.
_ab-test: _vm-setup
    go run ./tools/aa -delay snapshots_create=200ms

# The same of a slower proxy, guest commands built for debugging, an image of VMs made for it.
_ab-trials: _vm-setup
    go run ./tools/aa -delay proxy=20ms,proxy_mib=10ms
    go run ./tools/aa -debug
    go run ./tools/aa -image

# A trial on a cluster of Slurm, of three nodes on this machine, as root.
_fleet-test:
    .ci/setup fleet
    .ci/fleet-test

# The Job for Kubernetes is what its API's own types take, for the first look and a later one.
_manifest: _build
    rm -rf .bin/manifest
    mkdir -p .bin/manifest/fake
    install -m 755 cmd/capsem-bench/testdata/fake-build .bin/manifest/fake/capsem-bench
    go build -C .ci/manifest -o ../../.bin/manifest/check .
    .bin/capsem-bench ab plan --base .bin/manifest/fake --cand .bin/manifest/fake --machines 5 --dir .bin/manifest/trial --manifest kubernetes | .bin/manifest/check
    .bin/capsem-bench ab judge --manifest kubernetes .bin/manifest/trial | .bin/manifest/check
    ! .bin/capsem-bench ab judge --manifest kubernetes .bin/manifest/trial | sed 's/completionMode/completionmode/' | .bin/manifest/check
    rm -rf .bin/manifest

# Every file of a release in dist/, for all platforms or those given, tried on
# this machine, as root.
[private]
release-dry *platforms: _release-setup
    rm -rf dist
    .ci/release dist {{ platforms }}
    .ci/release-try dist

_release-setup:
    .ci/setup release

# What the other recipes and the tests need, from the system's packages.
_setup:
    .ci/setup

# go vet for every system it has to build on. With the flag it compiles what
# release-dry then needs.
_vet:
    for os in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do echo "vet $os"; GOOS=${os%/*} GOARCH=${os#*/} CGO_ENABLED=0 go vet -trimpath ./...; done
    go vet -tags vmtest ./sandbox ./cmd/capsem-bench

# go.mod and go.sum say what is used, and no more.
_tidy:
    go mod tidy -diff

# Results that Capsem wrote are read, where a directory of them is at hand.
_import dir="../shared/data": _build
    for f in {{ dir }}/*.json {{ dir }}/other/*.json; do [ ! -e "$f" ] || .bin/capsem-bench import "$f" | grep -c '^Benchmark'; done

# The result files of a directory, where there is one, compared in pairs.
_pairs dir="../shared/data":
    [ ! -d {{ dir }} ] || go test -count 1 -v -run TestResultFilePairs ./cmd/capsem-bench -results "$(realpath {{ dir }})" | grep -E '^ *---|^ok|^FAIL'

# The tests under the race detector; none may be skipped for want of a tool. It
# sees nothing where nothing is concurrent: in report, repotest, trendcheck, the
# trends of a history and the twenty runs of releases.txtar, and in tests of the
# guest binary, which is another process. What is concurrent in compare runs
# under it in the command's tests.
_race:
    go test -race -timeout 25m -json -skip '^Test(TrendNames|SharedMovement|LinesAreNotJoined)|^TestScripts$/^releases$' $(go list ./... | grep -Ev '/(compare|report|internal/repotest|tools/(guesttest|trendcheck))$') | .ci/no-skips
    go test -json -run 'Arm64|Browser' ./tools/guesttest ./report | .ci/no-skips

# How often the change points of a history are wrong.
_trend-check *args:
    go run ./tools/trendcheck {{ args }}

# A stock MCP client from npm against the gateway, through the guest's relay.
_mcp:
    .ci/mcp

# A Parquet export of a history, read by DuckDB from npm.
_parquet:
    .ci/parquet

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
