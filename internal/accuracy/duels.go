package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/capsem/capsem-bench/host/upstream"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/rivals"
)

// A duel is one operation of the guest binary and the same work of a tool.
type duel struct {
	op, unit, tool string
	cache          string // "cold": both sides drop it, and ours has proven it
	ours, theirs   rivals.Measure
}

// prepare builds both sides. The caller calls closeAll.
func prepare(ctx context.Context, w *rivals.Workshop) (duels []duel, closeAll func() error, err error) {
	guest, err := w.Guest(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := w.Hey(ctx); err != nil {
		return nil, nil, err
	}
	rootfs, err := rootfsDuel(ctx, guest)
	if err != nil {
		return nil, nil, err
	}
	origin, err := w.Upstream(ctx)
	if err != nil {
		return nil, nil, err
	}
	duels = append(diskDuels(w, guest), rootfs)
	duels = append(duels, startupDuels(w, guest)...)
	return append(duels, networkDuels(w, guest, origin)...), origin.Close, nil
}

// diskDuels give the guest binary's own file to fio and dd.
func diskDuels(w *rivals.Workshop, guest rivals.Guest) []duel {
	file := w.Path("kept")
	const seqSize, randSize = catalogue.DefaultSizeMB << 20, catalogue.DiskRandBytes
	env := []string{"CAPSEM_BENCH_DIR=" + w.Dir, "CAPSEM_BENCH_SIZE_MB="}
	keep := func(m rivals.Measure) rivals.Measure { return rivals.KeepFile(w.Dir, file, m) }
	seqRead := keep(guest.Cold("Disk/op=seq_read", "B/s", env...))
	return []duel{
		{"disk seq_write", "B/s", "fio", "", guest.Metric("Disk/op=seq_write", "B/s", env...), fresh(rivals.Fio{File: w.Path("written"), RW: "write", Block: "1m", Size: seqSize}.Rate, w.Path("written"))},
		{"disk seq_read", "B/s", "fio", "cold", seqRead, rivals.Fio{File: file, RW: "read", Block: "1m", Size: seqSize}.Rate},
		{"disk seq_read", "B/s", "dd", "cold", seqRead, rivals.DD{File: file}.Rate},
		{
			"disk rand_write_4k", "iops", "fio", "", keep(guest.Metric("Disk/op=rand_write_4k", "iops", env...)),
			rivals.Fio{File: file, RW: "randwrite", Block: "4k", Size: randSize, Count: catalogue.DiskRandCount, Sync: true}.IOPS,
		},
		{
			"disk rand_read_4k", "iops", "fio", "cold", keep(guest.Cold("Disk/op=rand_read_4k", "iops", env...)),
			rivals.Fio{File: file, RW: "randread", Block: "4k", Size: randSize, Count: catalogue.DiskRandCount}.IOPS,
		},
	}
}

// fresh removes the file before every run: the guest binary's is new too.
func fresh(m rivals.Measure, file string) rivals.Measure {
	return func(ctx context.Context) (float64, error) {
		if err := os.RemoveAll(file); err != nil {
			return 0, err
		}
		v, err := m(ctx)
		return v, errors.Join(err, os.RemoveAll(file))
	}
}

// rootfsDuel has fio read the file that the guest binary finds the largest.
func rootfsDuel(ctx context.Context, guest rivals.Guest) (d duel, err error) {
	const pattern = "Rootfs/op=seq_read"
	r, err := guest.Run(ctx, nil, pattern)
	if err != nil {
		return d, err
	}
	s := r.Samples[0]
	return duel{
		"rootfs seq_read", "B/s", "fio", "cold", guest.Cold(pattern, "B/s"),
		rivals.Fio{File: s.File, RW: "read", Block: "1m", Size: s.Bytes}.Rate,
	}, nil
}

// startupDuels are of the commands that this machine has.
func startupDuels(w *rivals.Workshop, guest rivals.Guest) (duels []duel) {
	for _, cli := range catalogue.CLIs() {
		if _, err := exec.LookPath(cli); err != nil {
			continue
		}
		duels = append(duels, duel{
			"startup " + cli, "ns", "hyperfine", "cold", guest.Cold("Startup/cli="+cli+"$", "ns/op"),
			func(ctx context.Context) (float64, error) {
				s, err := w.Hyperfine(ctx, rivals.Hyperfine{Command: cli + " --version", Runs: catalogue.StartupRuns, Cold: true})
				return s.Mean * 1e9, err
			},
		})
	}
	return duels
}

// networkDuels ask one origin. It answers the load 20 ms late, as a proxy and
// a network would: then the figure is the origin's, and a client that adds
// to it or takes from it is seen. How fast the clients themselves are is the
// command speed's to say.
func networkDuels(w *rivals.Workshop, guest rivals.Guest, origin *rivals.Origin) (duels []duel) {
	duels = append(duels, duel{
		"throughput", "B/s", "curl", "", guest.Metric("Throughput", "B/s", origin.Env("CAPSEM_BENCH_THROUGHPUT_URL="+origin.URL+upstream.ObjectPath)...),
		rivals.Curl(origin, upstream.ObjectPath),
	})
	const rounds, seconds = 100, 2 // both take two seconds
	for _, c := range []int{catalogue.DefaultConcurrency, 64} {
		late := origin.URL + "/late/20"
		load := guest.Metric("HTTP", "req/s", origin.Env(rivals.LoadEnv(late, rounds*c, c)...)...)
		op := fmt.Sprintf("http c=%d", c)
		duels = append(duels,
			duel{op, "req/s", "hey", "", load, w.HeyRate(late, rounds*c, c)},
			duel{op, "req/s", "wrk", "", load, rivals.Wrk(late, c, seconds)})
	}
	return duels
}
