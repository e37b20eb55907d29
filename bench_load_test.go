package capsembench

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/guest/httpload"
	"github.com/capsem/capsem-bench/internal/guest/load"
	"github.com/capsem/capsem-bench/internal/record"
)

// BenchmarkLoad measures a service with C requests under way for some seconds,
// level by level: HTTP through the proxy, MCP through the gateway, and DNS. It
// takes minutes, and so is measured only where a pattern names it.
func BenchmarkLoad(b *testing.B) {
	settings, err := guest.LoadSettings()
	target, name, server := fromEnv(catalogue.EnvLoadTarget, catalogue.DefaultLoadTarget),
		fromEnv(catalogue.EnvDNSName, catalogue.DefaultDNSName), fromEnv(catalogue.EnvDNSServer, catalogue.DefaultDNSServer)
	payload := fromEnv(catalogue.EnvMCPPayload, catalogue.DefaultMCPPayload)
	suite := guest.Begin(b, record.Category{
		Category: string(catalogue.Load), URL: httpload.PublicURL(target),
		Settings: map[string]string{"target": httpload.PublicURL(target), "dns_name": name, "dns_server": server, "mcp_payload": payload},
	})
	origin, direct := fromEnv(catalogue.EnvURL, catalogue.DefaultHTTPURL), os.Getenv(catalogue.EnvDirect)
	builtIn := false // the stand-in's origin answers
	web := func(dial func(context.Context, *bool) (load.Dial, error)) func(context.Context, int) (load.Dial, error) {
		return func(ctx context.Context, _ int) (load.Dial, error) { return dial(ctx, &builtIn) }
	}
	cases := map[string]func(ctx context.Context, c int) (load.Dial, error){
		catalogue.LoadHTTP:       web(httpTarget{target, ""}.kept),
		catalogue.LoadHTTPNew:    web(httpTarget{target, ""}.fresh),
		catalogue.LoadTLS:        web(httpTarget{target, ""}.handshakes),
		catalogue.LoadTLSMint:    web(httpTarget{target, ""}.minted),
		catalogue.LoadHTTPOrigin: web(httpTarget{origin, ""}.kept),
		catalogue.LoadHTTPDirect: web(httpTarget{origin, direct}.past),
		catalogue.LoadMCP:        func(ctx context.Context, c int) (load.Dial, error) { return load.Echo(ctx, payload, c, 1) },
		catalogue.LoadMCPRelays:  func(ctx context.Context, c int) (load.Dial, error) { return load.Echo(ctx, payload, c, c) },
		catalogue.LoadMCPList:    load.List,
		catalogue.LoadDNS:        func(ctx context.Context, _ int) (load.Dial, error) { return dialDNS(ctx, server, name) },
	}
	for _, mode := range catalogue.LoadModes() {
		capacity := make(map[string]float64) // of closed loops, by protocol and level
		for _, op := range settings.OpsOf(mode) {
			suite.Op(op, func(p *guest.Pass) error {
				if err != nil {
					return err
				}
				plan := load.Plan{Duration: settings.Duration(mode)}
				plan.Concurrency, _ = strconv.Atoi(op.Key("c"))
				level, rate := op.Key("proto")+op.Key("c"), op.Key("rate")
				measure := func(rate string) (*load.Result, error) {
					dial, err := cases[op.Key("proto")](p.Context(), plan.Concurrency)
					if err != nil {
						return nil, err
					}
					open := plan
					open.Rate, _ = guest.RateOf(rate, capacity[level]) // "" is a closed loop
					return load.Run(p.Context(), open, dial)           // measured
				}
				if guest.IsShare(rate) && capacity[level] == 0 { // the closed loop was not asked for
					r, err := measure("")
					if err != nil {
						return err
					}
					capacity[level] = r.Rate()
				}
				r, err := measure(rate)
				if err != nil {
					return err
				}
				if rate == "" {
					capacity[level] = r.Rate()
				}
				samples := r.Samples()
				if proxied := capacity[catalogue.LoadHTTPOrigin+op.Key("c")]; op.Key("proto") == catalogue.LoadHTTPDirect && rate == "" && proxied > 0 {
					samples.Metrics["overhead"] = r.Rate() / proxied
				}
				p.Measured(samples, r.Doubts()...)
				if builtIn && strings.HasPrefix(op.Key("proto"), catalogue.LoadHTTP) {
					p.Doubt("%s", httpload.AnsweredByBuiltIn)
				}
				return r.Err()
			})
		}
	}
}

// An httpTarget is a URL, and the address that answers for it past the proxy.
type httpTarget struct{ url, address string }

// kept are requests over kept connections. What the proxy answers is asked once,
// and then every answer has to be like that.
func (h httpTarget) kept(ctx context.Context, builtIn *bool) (load.Dial, error) {
	client, err := httpload.New(h.url, 0)
	return probed(ctx, builtIn, client, err, (*httpload.Client).Sender)
}

// fresh are requests with a connection each.
func (h httpTarget) fresh(ctx context.Context, builtIn *bool) (load.Dial, error) {
	client, err := httpload.New(h.url, 0)
	return probed(ctx, builtIn, client, err, (*httpload.Client).FreshSender)
}

// past are the requests of kept past the proxy.
func (h httpTarget) past(ctx context.Context, builtIn *bool) (load.Dial, error) {
	if h.address == "" {
		return nil, guest.SkipError("no way past the proxy; " + catalogue.EnvDirect + " names one")
	}
	client, err := httpload.NewDirect(h.url, h.address, 0)
	return probed(ctx, builtIn, client, err, (*httpload.Client).Sender)
}

// probed asks once what is answered, which is then what every answer has to be.
func probed(ctx context.Context, builtIn *bool, client *httpload.Client, err error, sender func(*httpload.Client, context.Context, int) (*httpload.Sender, error)) (load.Dial, error) {
	*builtIn = false
	if err != nil {
		return nil, err
	}
	status := 0
	if status, *builtIn, err = client.Probe(ctx); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (load.Client, error) { return sender(client, ctx, status) }, nil
}

// handshakes are connections without a request.
func (h httpTarget) handshakes(ctx context.Context, builtIn *bool) (load.Dial, error) {
	*builtIn = false
	client, err := httpload.New(h.url, 0)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (load.Client, error) { return client.Handshaker(ctx, false) }, nil
}

// minted are connections for a new name each. Where they fail there is no proxy
// that mints certificates.
func (h httpTarget) minted(ctx context.Context, builtIn *bool) (load.Dial, error) {
	*builtIn = false
	client, err := httpload.New(h.url, 0)
	if err != nil {
		return nil, err
	}
	one, err := client.Handshaker(ctx, true)
	if err == nil {
		_, err = one.Do()
	}
	if err != nil {
		return nil, guest.SkipError("no proxy that mints a certificate for a name it has not seen: " + err.Error())
	}
	return func(ctx context.Context) (load.Client, error) { return client.Handshaker(ctx, true) }, nil
}

// dialDNS asks once whether there is a resolver.
func dialDNS(ctx context.Context, server, name string) (load.Dial, error) {
	one, err := load.DialDNS(ctx, server, name)
	if err != nil {
		return nil, err
	}
	defer one.Close()
	if _, err := one.Do(); errors.Is(err, load.ErrRefused) {
		return nil, guest.SkipError("no resolver at " + server + "; it belongs to a Capsem guest")
	}
	return func(ctx context.Context) (load.Client, error) { return load.DialDNS(ctx, server, name) }, nil
}
