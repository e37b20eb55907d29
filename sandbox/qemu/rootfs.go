package qemu

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// epoch is the time of every file that a build makes (SOURCE_DATE_EPOCH), so
// that a build's own time is not in its result. Any past time would do.
const epoch = "1704067200"

// The compression of the rootfs: zstd's middle, where reading costs the same
// as at its end and building takes a quarter of the time.
const compressionLevel = "9"

// rootfs makes the squashfs: mmdebstrap makes a tar archive and mksquashfs
// packs it. Owners, order and times are those of the archive, which mmdebstrap
// makes the same every time.
func (o BuildOptions) rootfs(ctx context.Context, mirrors Mirrors, scratch, out string, m *Manifest) error {
	archive := filepath.Join(scratch, "rootfs.tar")
	if err := o.debootstrap(ctx, mirrors, scratch, archive); err != nil {
		return err
	}
	var err error
	if m.Packages, err = debianPackages(archive); err != nil {
		return err
	}
	o.notify("image: compressing")
	in, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer in.Close()
	cmd := exec.Command("mksquashfs", "-", filepath.Join(out, rootfsFile), "-tar", "-noappend",
		"-comp", "zstd", "-Xcompression-level", compressionLevel, "-quiet", "-no-progress")
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+epoch)
	cmd.Stdin = in
	return runQuiet(ctx, cmd)
}

// debootstrap runs mmdebstrap.
func (o BuildOptions) debootstrap(ctx context.Context, mirrors Mirrors, scratch, archive string) error {
	f, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	mode := "unshare"
	if os.Geteuid() == 0 {
		mode = "root"
	}
	args := []string{
		"--mode=" + mode, "--variant=essential", "--architectures=" + string(o.Arch), "--format=tar",
		"--include=" + strings.Join(packages(), ","),
		`--aptopt=Acquire::Languages "none"`,
	}
	for _, dir := range []string{"doc", "man", "info", "locale", "lintian", "bug"} {
		args = append(args, "--dpkgopt=path-exclude=/usr/share/"+dir+"/*")
	}
	// The target goes to stdout, so that its growth can be watched.
	args = append(append(args, Suite, "-"), mirrors.sources(Suite)...)
	cmd := exec.Command("mmdebstrap", args...)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+epoch, "TMPDIR="+scratch, "LC_ALL=C.UTF-8")
	cmd.Stdout = &counted{w: f, tell: func(n uint64) { o.notify("image: archiving, %s", humanize.Bytes(n)) }}
	stop := o.watchGrowth(scratch)
	err = runQuiet(ctx, cmd)
	stop()
	if err != nil {
		return err
	}
	return f.Close()
}

// watchGrowth tells how much of the rootfs is unpacked.
func (o BuildOptions) watchGrowth(dir string) (stop func()) {
	done := make(chan struct{})
	ended := make(chan struct{})
	o.notify("image: installing Debian's packages")
	go func() {
		defer close(ended)
		for tick := time.NewTicker(2 * time.Second); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
			}
			if n := treeSize(dir); n > 0 {
				o.notify("image: installing Debian's packages, %s", humanize.Bytes(n))
			}
		}
	}()
	return func() { close(done); <-ended }
}

// treeSize adds up the files below the roots that mmdebstrap makes in dir.
func treeSize(dir string) (n uint64) {
	roots, _ := filepath.Glob(filepath.Join(dir, "mmdebstrap.*"))
	for _, root := range roots {
		_ = filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
			if err != nil {
				return nil //nolint:nilerr // files come and go
			}
			if d.IsDir() && (d.Name() == "proc" || d.Name() == "sys" || d.Name() == "dev") {
				return filepath.SkipDir
			}
			if info, err := d.Info(); err == nil && d.Type().IsRegular() {
				n += uint64(info.Size())
			}
			return nil
		})
	}
	return n
}

// counted tells how much was written, at most once in half a second.
type counted struct {
	w    io.Writer
	n    uint64
	last time.Time
	tell func(n uint64)
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += uint64(n)
	if now := time.Now(); now.Sub(c.last) > 500*time.Millisecond {
		c.last = now
		c.tell(c.n)
	}
	return n, err
}

// debianPackages reads the package database in an archive of a root.
func debianPackages(archive string) ([]Package, error) {
	f, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for r := tar.NewReader(bufio.NewReaderSize(f, 1<<20)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return nil, errors.New("the root has no package database")
		}
		if err != nil {
			return nil, err
		}
		if path.Clean(h.Name) == "var/lib/dpkg/status" {
			return parseStatus(r)
		}
	}
}

// parseStatus reads names and versions from dpkg's database (deb-control(5)).
func parseStatus(r io.Reader) ([]Package, error) {
	var out []Package
	var p Package
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		key, value, _ := strings.Cut(sc.Text(), ": ")
		switch key {
		case "Package":
			p = Package{Name: value, From: "debian"}
		case "Version":
			p.Version = value
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("reading the package database: %w", err)
	}
	return out, nil
}
