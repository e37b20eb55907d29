package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/delay"
)

// slowed runs 'ab' with one build on both sides and a delay on the new one. It
// is one look, of as many boots as it takes to convict with a small boot: one
// round of the snapshots.
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
	var text bytes.Buffer
	status, err := call(ctx, &text, stderr, command, "ab", "--base=.", "--cand=.", "--accept-unfit", "--quiet", "--count=1",
		"--looks="+strconv.Itoa(least()/2), "--format=json", "--out="+filepath.Join(out, "trial"),
		"--cand-env=CAPSEM_BENCH_DELAY="+o.delay, string(catalogue.Snapshot))
	if err != nil {
		return nil, err
	}
	want, err := delayedOps(o.delay)
	if err != nil {
		return nil, err
	}
	return judge(text.Bytes(), status, want, stdout)
}

// delayedOps are the ops that a delay of tools has to slow, at every size.
func delayedOps(spec string) ([]string, error) {
	delays, err := delay.Parse(spec)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, op := range catalogue.Select(catalogue.Ops(catalogue.Settings{}), catalogue.Snapshot) {
		what := op.ID[strings.LastIndexByte(op.ID, '/')+1:]
		if _, ok := delays["snapshots_"+what]; ok {
			ids = append(ids, op.ID)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("-delay %s slows no operation of its own; want such as snapshots_create=200ms", spec)
	}
	return ids, nil
}

// judge holds the document of a trial to what has to be named.
func judge(text []byte, status int, want []string, stdout io.Writer) (wrong []string, err error) {
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
	for _, id := range want {
		if !slices.Contains(doc.Gate.Regressions, id) {
			wrong = append(wrong, id+" was made slower and is not named")
		}
	}
	for _, id := range doc.Gate.Regressions {
		if !slices.Contains(want, id) {
			wrong = append(wrong, id+" is named and nobody made it slower")
		}
	}
	if status != int(compare.Block) {
		wrong = append(wrong, fmt.Sprintf("the exit status is %d, not %d", status, compare.Block))
	}
	return wrong, nil
}
