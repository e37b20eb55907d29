package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/mdlayher/vsock"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/internal/sshd"
	"github.com/capsem/capsem-bench/internal/vmconfig"
)

// maxConfig bounds the configuration, of which a certificate and two keys are
// the most.
const maxConfig = 1 << 20

// guestd serves a guest: names, relays to the host's proxy, and SSH. It reads
// the configuration from stdin and returns when something fails; the guest is
// powered off then.
func guestd(ctx context.Context, stdin io.Reader, stderr io.Writer) int {
	if err := serveGuest(ctx, stdin); err != nil {
		fmt.Fprintf(stderr, "guestd: %v\n", err)
		stage(vmconfig.StageFailed, err.Error())
		return 1
	}
	return 0
}

func serveGuest(ctx context.Context, stdin io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(stdin, maxConfig))
	if err != nil {
		return err
	}
	cfg, err := vmconfig.Decode(text)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	if err := loopbackUp(); err != nil {
		return err
	}
	if err := furnish(cfg); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	if err := serveNames(ctx, g); err != nil {
		return err
	}
	for _, port := range []string{"443", "80"} {
		if err := relayPort(ctx, g, port, cfg.ProxyPort); err != nil {
			return err
		}
	}
	if err := os.Chdir(vmconfig.Home); err != nil { // where names of scp and sftp begin
		return err
	}
	ln, err := vsock.ListenContextID(unix.VMADDR_CID_ANY, vmconfig.SSHPort, nil)
	if err != nil {
		return fmt.Errorf("listening for ssh: %w", err)
	}
	g.Go(func() error {
		return sshd.Serve(ctx, ln, sshd.Config{
			AuthorizedKey: []byte(cfg.AuthorizedKey), HostKey: []byte(cfg.HostKeyPEM),
			Env: guestEnv(cfg), Dir: vmconfig.Home, Shell: shell(),
		})
	})
	stage(vmconfig.StageServices, "")
	return g.Wait()
}

func shell() string {
	if _, err := os.Stat("/bin/bash"); err == nil {
		return "/bin/bash"
	}
	return "/bin/sh"
}

// caFile is where the authority's certificate lies alone; it is in the
// system's bundle too.
const caFile = "/usr/local/share/ca-certificates/capsem.crt"

const caBundle = "/etc/ssl/certs/ca-certificates.crt"

// guestEnv is what every command in the guest sees. Node brings its own
// certificates, so it is pointed to ours.
func guestEnv(cfg vmconfig.Config) []string {
	env := []string{
		"HOME=" + vmconfig.Home, "USER=root", "LOGNAME=root", "SHELL=" + shell(), "LANG=C.UTF-8",
		"PATH=/opt/ai-clis/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"NODE_EXTRA_CA_CERTS=" + caFile,
		contract.EnvGateway + "=" + hostAddress(cfg.GatewayPort),
	}
	if cfg.CachesPort != 0 {
		env = append(env, "CAPSEM_BENCH_HOST_CACHES="+hostAddress(cfg.CachesPort))
	}
	return append(env, cfg.Env...)
}

// hostAddress is a vsock port of the host.
func hostAddress(port uint32) string {
	return contract.Address{Network: contract.Vsock, CID: vmconfig.HostCID, Port: port}.String()
}

// furnish writes what differs between VMs into the root, all of it into the
// overlay.
func furnish(cfg vmconfig.Config) error {
	files := []struct{ path, text string }{
		{"/etc/hostname", cfg.Hostname + "\n"},
		{"/etc/hosts", "127.0.0.1 localhost " + cfg.Hostname + "\n::1 localhost\n"},
		{"/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n"},
		{caFile, cfg.CAPEM},
	}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return err
		}
		_ = os.Remove(f.path) // resolv.conf may be a link to nowhere
		if err := os.WriteFile(f.path, []byte(f.text), 0o644); err != nil {
			return err
		}
	}
	if err := trust(cfg.CAPEM); err != nil {
		return err
	}
	for _, name := range []string{binDir + "/" + contract.Snapshots, binDir + "/" + contract.Relay, fixedRelay} {
		_ = os.Remove(name)
		if err := os.Symlink(vmconfig.Program, name); err != nil {
			return err
		}
	}
	return nil
}

// trust adds the authority to the system's bundle, as update-ca-certificates
// would, which needs a second on an emulated CPU.
func trust(pem string) error {
	bundle, err := os.ReadFile(caBundle)
	if err != nil {
		return fmt.Errorf("adding the proxy's authority: %w", err)
	}
	if !bytes.HasSuffix(bundle, []byte("\n")) {
		bundle = append(bundle, '\n')
	}
	return os.WriteFile(caBundle, append(bundle, pem...), 0o644)
}

// loopbackUp brings up the only interface that the guest has.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("bringing up lo: %w", err)
	}
	return nil
}

// relayPort hands every connection to a local TCP port to the host's proxy.
func relayPort(ctx context.Context, g *errgroup.Group, port string, proxyPort uint32) error {
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = ln.Close() })
	g.Go(func() error {
		for {
			c, err := ln.Accept()
			if err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
			go relayConn(ctx, c.(*net.TCPConn), proxyPort)
		}
	})
	return nil
}

// relayConn connects a client to the proxy and copies both ways.
func relayConn(ctx context.Context, client *net.TCPConn, proxyPort uint32) {
	defer client.Close()
	host, err := dial(ctx, contract.Address{Network: contract.Vsock, CID: vmconfig.HostCID, Port: proxyPort})
	if err != nil {
		fmt.Fprintf(os.Stderr, "guestd: connecting to the proxy: %v\n", err)
		_ = client.SetLinger(0) // a reset says that it was not the origin's end
		return
	}
	defer host.Close()
	if _, err := host.Write([]byte(contract.MetaLine(clientName(client)))); err != nil {
		return
	}
	done := make(chan struct{}, 2)
	copyHalf := func(dst, src conn) {
		buf := make([]byte, 128<<10)
		// Without their own ways of copying, which use small buffers.
		_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, buf)
		if err != nil {
			_ = dst.Close()
			_ = src.Close()
		} else {
			_ = dst.CloseWrite()
		}
		done <- struct{}{}
	}
	go copyHalf(host, client)
	go copyHalf(client, host)
	<-done
	<-done
}
