// Package chromium starts Debian's Chromium without a window, to look at a page
// as its readers do: in tests, and where the opening of a page is measured. Each
// browser has a profile of its own below the temporary directory and asks no
// server for anything of its own. Close leaves no process and no file.
package chromium

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/internal/child"
	"github.com/chromedp/chromedp"
)

// ErrNotInstalled says what to install.
var ErrNotInstalled = errors.New("no Chromium here; install chromium")

// patience is how long a start, an end and the removal of the profile may take
// each: seconds on an idle machine, but tests of other packages run beside.
const patience = time.Minute

// A Browser is a running Chromium.
type Browser struct {
	dir     string // with its profile and its temporary files
	pid     int    // also of its process group
	ended   <-chan error
	address string // of its debugging protocol
}

// flags are those of a browser that only shows what it is told to.
func flags(profile string) []string {
	return []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-default-apps",
		"--disable-breakpad", "--disable-crash-reporter", "--metrics-recording-only", "--mute-audio", "--force-color-profile=srgb",
		"--password-store=basic", "--use-mock-keychain",
		"--remote-debugging-port=0", "--user-data-dir=" + profile, "about:blank",
	}
}

// Start starts Chromium and waits until it answers. The caller must Close it.
func Start(ctx context.Context) (*Browser, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, ErrNotInstalled
	}
	dir, err := os.MkdirTemp("", "chromium-") // short: the path of a socket below it has at most 107 bytes
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, flags(dir)...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "TMPDIR="+dir) // no file elsewhere
	ended, err := child.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	b := &Browser{dir: dir, pid: cmd.Process.Pid, ended: ended}
	if err := b.await(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// await waits until the browser has written where it answers: a port and a
// path, a line each.
func (b *Browser) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		text, err := os.ReadFile(filepath.Join(b.dir, "DevToolsActivePort"))
		if port, path, ok := strings.Cut(strings.TrimSpace(string(text)), "\n"); err == nil && ok {
			b.address = "ws://127.0.0.1:" + port + path
			return nil
		}
		select {
		case err := <-b.ended:
			closed := make(chan error)
			close(closed)
			b.ended = closed
			return fmt.Errorf("chromium ended before it answered: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("chromium does not answer: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Tab returns a context of chromedp for a new tab. Its end closes the tab.
func (b *Browser) Tab(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := chromedp.NewRemoteAllocator(ctx, b.address, chromedp.NoModifyURL)
	ctx, cancel := chromedp.NewContext(ctx)
	return ctx, func() {
		cancel()
		end()
	}
}

// Close ends the browser with all its processes and removes its files. A
// process that was killed may still be in a call that makes a file, so the
// removal is repeated until nothing is left.
func (b *Browser) Close() error {
	const grace = 10 * time.Second // it throws nothing away that anybody wants
	child.StopGroup(b.pid, b.ended, grace)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := os.RemoveAll(b.dir)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
