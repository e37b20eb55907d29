package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/tools/internal/reference"
	"github.com/miekg/dns"
)

// loads are load, storage and commands beside the tools that people measure
// those with. What answers does so late, by the same time for both sides, so
// that a figure is of the service and a client that adds to it is seen.
func (p *plan) loads(ctx context.Context) error {
	if err := p.w.Vegeta(ctx); err != nil {
		return err
	}
	late := p.origins[0].URL + "/late/20"
	const seconds, connections, rate = 2, 10, 200
	web := func(more ...string) []string {
		return p.origins[0].Env(append([]string{
			catalogue.EnvURL + "=" + late, catalogue.EnvLoadConcurrency + "=" + strconv.Itoa(connections), catalogue.EnvLoadSeconds + "=" + strconv.Itoa(seconds),
		}, more...)...)
	}
	const pattern = "Load/^proto=" + catalogue.LoadHTTPOrigin + "$"
	p.agree(fmt.Sprintf("load http c=%d, closed", connections), "req/s", "wrk",
		p.guest.Metric(pattern, "req/s", web()...), reference.Wrk(late, connections, seconds))
	p.agree(fmt.Sprintf("load http, open at %d/s, p50", rate), "ms", "vegeta",
		scaled(1e-6, p.guest.Metric(pattern, "p50-ns", web(fmt.Sprintf("%s=%d", catalogue.EnvLoadRate, rate))...)),
		scaled(1e-6, p.w.VegetaMedian(p.origins[0], "/late/20", rate, seconds)))
	if err := p.names(ctx); err != nil {
		return err
	}
	p.storage()
	return p.commands(ctx)
}

// nameDelay is how late the resolver of the duel answers.
const nameDelay = 5 * time.Millisecond

// names are queries to a resolver that denies everything.
func (p *plan) names(context.Context) error {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		time.Sleep(nameDelay)
		_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeNameError)) // a client that has gone asks no more
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.ActivateAndServe() }()
	p.closers = append(p.closers, func() error { return errors.Join(server.Shutdown(), <-ended) })
	const seconds, clients = 2, 10
	address := conn.LocalAddr().String()
	p.agree(fmt.Sprintf("load dns c=%d, closed", clients), "queries/s", "dnsperf",
		p.guest.Metric("Load/^proto=dns$", "req/s", catalogue.EnvDNSServer+"="+address,
			catalogue.EnvLoadConcurrency+"="+strconv.Itoa(clients), catalogue.EnvLoadSeconds+"="+strconv.Itoa(seconds)),
		p.w.DNSPerf(address, catalogue.DefaultDNSName, clients, seconds))
	return nil
}

// storage is a file in blocks of 64 KiB, written and read cold.
func (p *plan) storage() {
	const mb = catalogue.DefaultStorageMB
	dir := catalogue.StorageDir(p.w.Dir)
	env := []string{catalogue.EnvStorageDirs + "=" + p.w.Dir}
	op := func(name string) string { return "Storage/dir=" + dir + "/op=" + name + "/block=64k" }
	theirs, kept := p.w.Path("written"), p.w.Path("kept")
	p.agree("storage seq_write, 64k", "B/s", "fio", p.guest.Metric(op("seq_write"), "B/s", env...),
		fresh(reference.Fio{File: theirs, RW: "write", Block: "64k", Size: mb << 20}.Rate, theirs))
	p.agree("storage seq_read_cold, 64k", "B/s", "fio", reference.KeepFile(p.w.Dir, kept, p.guest.Metric(op("seq_read_cold"), "B/s", env...)),
		reference.Fio{File: kept, RW: "read", Block: "64k", Size: mb << 20}.Rate)
}

// commands are those of lifecycle exec, in guests that are this machine's shell.
func (p *plan) commands(ctx context.Context) (err error) {
	if p.command == "" {
		if p.command, err = p.w.Command(ctx, "./cmd/capsem-bench"); err != nil {
			return err
		}
	}
	const execs = 100
	ours := func(ctx context.Context) (float64, error) {
		out := p.w.Path("execs")
		defer os.RemoveAll(out)
		text, err := reference.Output(ctx, p.command, "lifecycle", "exec", "--quiet", "--runs", "1", "--execs", strconv.Itoa(execs), "--exec-mb", "1", "--out", out,
			"--sandbox", "command", "--exec", "sh -c {}", "--create", "true", "--ready", "true", "--delete", "true")
		if err != nil {
			return 0, err
		}
		return reference.JSONNumber(text, "exec", "true", "metrics", "ns/op")
	}
	theirs := func(ctx context.Context) (float64, error) {
		s, err := p.w.Hyperfine(ctx, reference.Hyperfine{Command: "sh -c true", Runs: execs})
		return s.Mean * 1e9, err
	}
	p.agree("exec true", "ms", "hyperfine", scaled(1e-6, ours), scaled(1e-6, theirs))
	return nil
}
