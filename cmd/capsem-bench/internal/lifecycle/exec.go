package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/bounded"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest/procstart"
	"github.com/capsem/capsem-bench/internal/record"
)

// commandLimit ends a command that hangs.
const commandLimit = 10 * time.Minute

// exec is commands and bytes in one VM.
func (r *run) exec(ctx context.Context) (err error) {
	v, err := r.make(ctx, "making a VM for commands", Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	r.repeated(ctx, catalogue.OpTrue, program(v.Command()))
	r.repeated(ctx, catalogue.OpKept, timed(func(ctx context.Context) error {
		if !v.Connected() {
			return Unsupported("each command of this sandbox makes a connection of its own")
		}
		return succeeded(v.Exec(ctx, "true", nil, io.Discard))
	}))
	size := int64(r.plan.ExecMB) << 20
	r.moved(ctx, catalogue.OpStdin, func() (int64, error) {
		said := &bounded.Head{Max: 100}
		data := io.LimitReader(rand.NewChaCha8([32]byte{1}), size) // incompressible
		if err := succeeded(v.Exec(ctx, "wc -c", data, said)); err != nil {
			return 0, err
		}
		return strconv.ParseInt(strings.TrimSpace(said.String()), 10, 64)
	})
	r.moved(ctx, catalogue.OpStdout, func() (int64, error) {
		var n counter
		err := succeeded(v.Exec(ctx, fmt.Sprintf("head -c %d /dev/zero", size), nil, &n))
		return int64(n), err
	})
	return nil
}

// repeated times a command again and again.
func (r *run) repeated(ctx context.Context, name string, once func(context.Context) (time.Duration, error)) {
	op := catalogue.ExecCountOp(name, r.plan.Execs)
	r.text.op(op, func() (record.Samples, error) {
		s := record.Samples{StartNS: time.Now().UnixNano()}
		for i := range op.Count {
			r.plan.Notify(fmt.Sprintf("command %d of %d", i+1, op.Count))
			took, err := once(ctx)
			if err != nil {
				return s, err
			}
			d := max(int64(took), 1)
			s.Values = append(s.Values, d)
			s.ElapsedNS += d
		}
		if err := context.Cause(ctx); err != nil {
			return s, err
		}
		s.Count = int64(op.Count)
		times := append([]int64(nil), s.Values...)
		if len(s.Values) > record.MaxValues {
			s.Values = nil
		}
		l := record.LatencyOf(times)
		s.Latency = l
		s.Metrics = map[string]float64{"ns/op": l.Mean, "p50-ns": l.P50, "p95-ns": l.P95, "max-ns": l.Max}
		return s, nil
	})
}

// moved times bytes on their way; move returns how many the other end had.
func (r *run) moved(ctx context.Context, name string, move func() (int64, error)) {
	op := catalogue.ExecBytesOp(name, r.plan.ExecMB)
	r.text.op(op, func() (record.Samples, error) {
		r.plan.Notify(fmt.Sprintf("%d MiB through %s", r.plan.ExecMB, name))
		begin := time.Now()
		n, err := move()
		d := time.Since(begin)
		if err == nil && n != op.Bytes {
			err = fmt.Errorf("%d of %d bytes arrived", n, op.Bytes)
		}
		s := took(begin, d)
		s.Bytes = n
		s.Metrics["B/s"] = float64(n) / max(d, 1).Seconds()
		return s, errors.Join(err, context.Cause(ctx))
	})
}

// program finds a program of the host and returns what runs it and says how
// long it took; it has to succeed. It is timed as the guest's own starts are,
// without the goroutines of os/exec, which compete with it for the processor.
func program(argv []string) func(context.Context) (time.Duration, error) {
	return func(ctx context.Context) (time.Duration, error) {
		res, err := procstart.Exec(ctx, commandLimit, "", argv...)
		return res.Elapsed, err
	}
}

// timed returns what runs f and says how long it took.
func timed(f func(context.Context) error) func(context.Context) (time.Duration, error) {
	return func(ctx context.Context) (time.Duration, error) {
		begin := time.Now()
		err := f(ctx)
		return time.Since(begin), err
	}
}

func succeeded(status int, err error) error {
	if err == nil && status != 0 {
		return fmt.Errorf("exit status %d", status)
	}
	return err
}

// A counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
