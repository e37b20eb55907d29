package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/capsem/capsem-bench/internal/bounded"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// forkMB is how much a VM writes into its workspace before it is forked:
// Capsem's images of the same measurement are 8 to 17 MB.
const forkMB = 16

// The lines that change a workspace, describe what they wrote, and change it
// again after the fork.
const (
	writeLine = `cd ~ && mkdir -p forked/deep && head -c 16777216 /dev/urandom >forked/data && printf kept >forked/deep/file && ` +
		`chmod 751 forked/deep/file && : >forked/empty && ln -s ../data forked/deep/link && sync`
	listLine = `cd ~/forked && sha256sum data deep/file empty && readlink deep/link && stat -c %a deep/file`
	overLine = `cd ~/forked && printf changed >deep/file && rm empty && sync`
)

// fork copies a VM with a changed workspace and boots the copy. There is a
// figure only if what was written is in the copy, and nothing that was written
// later.
func (r *run) fork(ctx context.Context) (err error) {
	v, err := r.make(ctx, "making a VM to fork", Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	f, broken := r.forked(ctx, v)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var doubts []string
	if f.leftOut > 0 {
		doubts = append(doubts, fmt.Sprintf("%d files of the workspace are not in the copy", f.leftOut))
	}
	size := record.Samples{StartNS: f.begin.UnixNano(), ElapsedNS: 1, Count: 1, Bytes: f.bytes, Metrics: map[string]float64{"size-B": float64(f.bytes)}}
	for _, one := range []struct {
		op string
		s  record.Samples
	}{
		{catalogue.OpFork, took(f.begin, f.took)},
		{catalogue.OpImageSize, size},
		{catalogue.OpBootProvision, took(f.birth.Begin, f.birth.Provision)},
		{catalogue.OpBootReady, took(f.birth.Begin, f.birth.Provision+f.birth.Ready)},
	} {
		r.text.op(catalogue.ForkOp(one.op), func() (record.Samples, error) { return one.s, broken }, doubts...)
	}
	return nil
}

// A forkResult is one fork and the boot of the copy.
type forkResult struct {
	begin   time.Time
	took    time.Duration
	bytes   int64
	leftOut int
	birth   Birth
}

func (r *run) forked(ctx context.Context, v VM) (f forkResult, err error) {
	if err := v.CanFork(); err != nil {
		return f, err
	}
	if err := succeeded(v.Exec(ctx, writeLine, nil, io.Discard)); err != nil {
		return f, fmt.Errorf("changing the workspace: %w", err)
	}
	want, err := said(ctx, v, listLine)
	if err != nil {
		return f, err
	}
	r.plan.Notify("forking the VM")
	f.begin = time.Now()
	image, err := v.Fork(ctx)
	f.took = time.Since(f.begin)
	if err != nil {
		return f, err
	}
	f.bytes, f.leftOut = image.Bytes(), image.LeftOut()
	defer func() { err = errors.Join(err, image.Close()) }()
	if err := succeeded(v.Exec(ctx, overLine, nil, io.Discard)); err != nil {
		return f, fmt.Errorf("changing the workspace after the fork: %w", err)
	}
	child, err := r.make(ctx, "booting the fork", Options{Image: image})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, child.Close()) }()
	f.birth = child.Birth()
	got, err := said(ctx, child, listLine)
	if err == nil && got != want {
		err = errors.New("what was written before the fork is not what the copy has")
	}
	return f, err
}

// maxSaid is far above the lines that are read of a guest, /proc/meminfo being
// the longest.
const maxSaid = 8 << 10

// said is what a line prints.
func said(ctx context.Context, v VM, line string) (string, error) {
	out := &bounded.Head{Max: maxSaid}
	err := succeeded(v.Exec(ctx, line, nil, out))
	if err != nil {
		return "", fmt.Errorf("%.40q in the VM: %w", line, err)
	}
	return out.String(), nil
}
