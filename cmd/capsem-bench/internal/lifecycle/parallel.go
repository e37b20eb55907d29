package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/bounded"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"golang.org/x/sync/errgroup"
)

// parallel has one VM run a category alone, then several at once. All of these
// are up before the first of them begins.
func (r *run) parallel(ctx context.Context) error {
	one := time.Duration(0)
	if err := r.together(ctx, 1, func(begin time.Time, each []time.Duration, all time.Duration, err error) {
		r.text.op(catalogue.ParallelOp(1, catalogue.OpVM), func() (record.Samples, error) { return took(begin, all), err })
		if err == nil {
			one = all
		}
	}); err != nil {
		return err
	}
	n := r.plan.VMs
	return r.together(ctx, n, func(begin time.Time, each []time.Duration, all time.Duration, err error) {
		r.text.op(catalogue.ParallelOp(n, catalogue.OpVM), func() (record.Samples, error) {
			if err == nil && one == 0 {
				err = errors.New("there is no time of one VM alone to compare with")
			}
			if err != nil {
				return record.Samples{}, err
			}
			s := record.Samples{StartNS: begin.UnixNano(), ElapsedNS: int64(all), Count: int64(n)}
			for _, d := range each {
				s.Values = append(s.Values, int64(d))
			}
			s.Latency = record.LatencyOf(append([]int64(nil), s.Values...))
			s.Metrics = map[string]float64{"ns/op": s.Latency.Mean, "slowdown": s.Latency.Mean / float64(one)}
			return s, nil
		})
		r.text.op(catalogue.ParallelOp(n, catalogue.OpAll), func() (record.Samples, error) { return took(begin, all), err })
	})
}

// together makes n VMs, has each run the category, and reports how long each
// took, and all. The error of report is of what was measured, the one that
// together returns of the VMs.
func (r *run) together(ctx context.Context, n int, report func(begin time.Time, each []time.Duration, all time.Duration, err error)) (err error) {
	vms := make([]VM, n)
	defer func() {
		var closing errgroup.Group
		for _, v := range vms {
			if v != nil {
				closing.Go(v.Close)
			}
		}
		err = errors.Join(err, closing.Wait())
	}()
	r.plan.Notify(fmt.Sprintf("making %d VMs at once", n))
	making, mctx := errgroup.WithContext(ctx)
	for i := range vms {
		making.Go(func() error {
			v, err := r.maker.Make(mctx, Options{Benchmarks: true})
			if err != nil {
				return fmt.Errorf("VM %d of %d: %w", i+1, n, err)
			}
			vms[i] = v
			return nil
		})
	}
	if err := making.Wait(); err != nil {
		return err
	}
	r.plan.Notify(fmt.Sprintf("%s in %d VMs at once", r.plan.Category, n))
	each := make([]time.Duration, n)
	var running errgroup.Group
	begin := time.Now()
	for i, v := range vms {
		running.Go(func() error {
			err := r.measureIn(ctx, v)
			each[i] = time.Since(begin)
			return err
		})
	}
	err = running.Wait()
	all := time.Since(begin)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	report(begin, each, all, err)
	return nil
}

// measureIn runs the category in one VM. Its figures are thrown away: what is
// measured is how long the same work takes.
func (r *run) measureIn(ctx context.Context, v VM) error {
	complaint := &bounded.Head{Max: 4 << 10}
	args := []string{"-test.bench=^Benchmark" + r.plan.Category.Benchmark() + "$", "-test.timeout=0"}
	if err := succeeded(v.Run(ctx, args, io.Discard, complaint)); err != nil {
		return fmt.Errorf("%s: %w: %s", r.plan.Category, err, strings.TrimSpace(complaint.String()))
	}
	return nil
}
