package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/delay"
)

// A trial is what 'ab' compares, and what it has to find.
type trial struct {
	args  []string // of 'ab', beside those of every trial
	looks int      // boots a side
	expected
}

// slowed runs 'ab' with sides of which the new one is slower. It is one look.
func slowed(ctx context.Context, o *options, stdout, stderr io.Writer) ([]string, error) {
	done, out, err := outDir(o.out)
	if err != nil {
		return nil, err
	}
	defer done()
	command, err := build(ctx, out)
	if err != nil {
		return nil, err
	}
	var t trial
	switch {
	case o.image:
		t, err = debugImage(ctx, command, out, stderr)
	case o.debug:
		t, err = debugBuild(ctx, out)
	default:
		t, err = delayed(o.delay)
	}
	if err != nil {
		return nil, err
	}
	args := append([]string{
		"ab", "--accept-unfit", "--quiet", "--count=1", "--format=json",
		"--looks=" + strconv.Itoa(t.looks), "--out=" + filepath.Join(out, "trial"),
	}, t.args...)
	var text bytes.Buffer
	status, err := call(ctx, &text, stderr, command, append(args, t.measure...)...)
	if err != nil {
		return nil, err
	}
	return judge(text.Bytes(), status, t.expected, stdout)
}

// delayed is a trial of one build whose new side has a delay. A small boot, one
// round of every operation, takes the boots of the plan's last look to block.
func delayed(spec string) (trial, error) {
	want, err := delayedBy(spec)
	return trial{[]string{"--base=.", "--cand=.", "--cand-env=CAPSEM_BENCH_DELAY=" + spec}, least() / 2, want}, err
}

// debugBuild is a trial of a build whose guest commands are for debugging.
func debugBuild(ctx context.Context, out string) (trial, error) {
	dir, err := buildDebug(ctx, out)
	// The detector would wait a second for more at the end of every command.
	return trial{[]string{"--base=.", "--cand=" + dir, "--cand-env=GORACE=atexit_sleep_ms=0"}, least() / 2, debugged()}, err
}

// buildDebug makes the directory of a build that has the guest's commands built
// for debugging, with the race detector in them, and nothing else.
func buildDebug(ctx context.Context, out string) (string, error) {
	dir := filepath.Join(out, "debug")
	cmd := exec.CommandContext(ctx, "go", "build", "-race", "-o", filepath.Join(dir, "capsem-guest"), "github.com/capsem/capsem-bench/cmd/capsem-guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1") // of which the detector's runtime is a part
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building for debugging, which takes a C compiler: %w\n%s", err, text)
	}
	return dir, nil
}

// debugged is what commands built for debugging do: 'snapshots' starts many
// times more slowly, which is most of a call of the gateway. Where a call does
// much, its share is small. Requests and downloads do without the commands.
func debugged() expected {
	e := expected{measure: []string{string(catalogue.HTTP), string(catalogue.Throughput), string(catalogue.Snapshot)}}
	for _, op := range catalogue.Select(catalogue.Ops(catalogue.Settings{}), catalogue.Snapshot) {
		if strings.HasPrefix(op.ID, "snapshot/500/") || op.ID == "snapshot/100/create" {
			e.slower = append(e.slower, op.ID)
		} else {
			e.named = append(e.named, op.ID)
		}
	}
	return e
}

// expected is what a delay does.
type expected struct {
	measure []string // categories, with some that it does not concern
	named   []string // ops that have to be named
	slower  []string // ops that are a little slower too, and may be
}

// delayedBy says what a delay slows: a tool's own op at every size, requests
// through the proxy, downloads through it. A gateway that waits leaves the
// machine idle, and a calm machine shows that the calls after it find cold
// caches: the other ops of snapshots may be named too.
func delayedBy(spec string) (expected, error) {
	delays, err := delay.Parse(spec)
	if err != nil {
		return expected{}, err
	}
	e := expected{measure: []string{string(catalogue.HTTP), string(catalogue.Snapshot)}}
	var beside []string
	for _, op := range catalogue.Select(catalogue.Ops(catalogue.Settings{}), catalogue.Snapshot) {
		what := op.ID[strings.LastIndexByte(op.ID, '/')+1:]
		if _, ok := delays["snapshots_"+what]; ok {
			e.named = append(e.named, op.ID)
		} else {
			beside = append(beside, op.ID)
		}
	}
	if len(e.named) > 0 {
		e.slower = beside
	}
	const requests, download = "http/get", "throughput/get"
	for name, op := range map[string]string{delay.Proxy: requests, delay.Sent: download} {
		if _, ok := delays[name]; ok {
			e.named = append(e.named, op)
			e.slower = append(e.slower, requests, download)
		}
	}
	if slices.Contains(e.slower, download) {
		e.measure = append(e.measure, string(catalogue.Throughput))
	}
	if len(e.named) == 0 {
		return e, fmt.Errorf("-delay %s slows no operation of its own; want such as snapshots_create=200ms or %s=2ms", spec, delay.Proxy)
	}
	return e, nil
}

// judge holds the document of a trial to what has to be named.
func judge(text []byte, status int, want expected, stdout io.Writer) (wrong []string, err error) {
	var doc struct {
		Schema string
		Gate   struct {
			Regressions []string
			Reasons     []string
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil || doc.Schema != compare.SchemaJSON {
		return nil, fmt.Errorf("'capsem-bench ab' ended with status %d and no comparison", status)
	}
	for _, r := range doc.Gate.Reasons {
		fmt.Fprintln(stdout, r)
	}
	var named []string
	for _, key := range doc.Gate.Regressions {
		id, _, _ := strings.Cut(key, " ") // without the metric
		named = append(named, id)
		if !slices.Contains(want.named, id) && !slices.Contains(want.slower, id) {
			wrong = append(wrong, key+" is named and nobody made it slower")
		}
	}
	for _, id := range want.named {
		if !slices.Contains(named, id) {
			wrong = append(wrong, id+" was made slower and is not named")
		}
	}
	if status != int(compare.Block) {
		wrong = append(wrong, fmt.Sprintf("the exit status is %d, not %d", status, compare.Block))
	}
	return wrong, nil
}
