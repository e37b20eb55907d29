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

// rootfs makes the squashfs: mmdebstrap makes a tar archive, npm a tree for the
// full profile, and mksquashfs packs both. Owners, order and times are those of
// the archives, which are the same every time.
func (o BuildOptions) rootfs(ctx context.Context, mirrors Mirrors, scratch, out string, m *Manifest) error {
	archive := filepath.Join(scratch, "rootfs.tar")
	if err := o.debootstrap(ctx, mirrors, scratch, archive); err != nil {
		return err
	}
	in, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer in.Close()
	var end int64
	if m.Packages, end, err = debianPackages(in); err != nil {
		return err
	}
	if o.Profile != Full {
		return o.squash(ctx, in, out)
	}
	tree, err := o.npmTree(ctx, scratch, m)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	defer r.Close() // ends the writer
	go func() { _ = w.CloseWithError(writeTree(w, tree, npmDir)) }()
	return o.squash(ctx, io.MultiReader(io.NewSectionReader(in, 0, end), r), out)
}

// squash packs an archive.
func (o BuildOptions) squash(ctx context.Context, archive io.Reader, out string) error {
	o.notify("image: compressing")
	cmd := exec.Command("mksquashfs", "-", filepath.Join(out, rootfsFile), "-tar", "-noappend",
		"-comp", "zstd", "-Xcompression-level", compressionLevel, "-quiet", "-no-progress")
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+epoch)
	cmd.Stdin = &counted{r: archive, tell: func(n uint64) { o.notify("image: compressing, %s", humanize.IBytes(n)) }}
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
		"--mode=" + mode, "--architectures=" + string(o.Arch), "--format=tar",
		`--aptopt=Acquire::Languages "none"`,
	}
	packages := strings.Join(o.packages(), ",")
	if o.unpacked() {
		args = append(args, unpackArgs(packages)...)
	} else {
		args = append(args, "--variant=essential", "--include="+packages)
		for dir := range strings.FieldsSeq(excluded) {
			args = append(args, "--dpkgopt=path-exclude=/usr/share/"+dir+"/*")
		}
	}
	// The target goes to stdout, so that its growth can be watched.
	args = append(append(args, Suite, "-"), mirrors.sources(Suite)...)
	cmd := exec.Command("mmdebstrap", args...)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+epoch, "TMPDIR="+scratch)
	cmd.Stdout = &counted{w: f, tell: func(n uint64) { o.notify("image: archiving, %s", humanize.IBytes(n)) }}
	stop := o.watchGrowth("image: installing Debian's packages", func() []string {
		roots, _ := filepath.Glob(filepath.Join(scratch, "mmdebstrap.*")) // those it makes
		return roots
	})
	err = runQuiet(ctx, cmd)
	stop()
	if err != nil {
		return err
	}
	return f.Close()
}

// watchGrowth tells how much there is below the directories, which may come
// later than it.
func (o BuildOptions) watchGrowth(what string, dirs func() []string) (stop func()) {
	done := make(chan struct{})
	ended := make(chan struct{})
	o.notify("%s", what)
	go func() {
		defer close(ended)
		for tick := time.NewTicker(2 * time.Second); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
			}
			if n := treeSize(dirs()); n > 0 {
				o.notify("%s, %s", what, humanize.IBytes(n))
			}
		}
	}()
	return func() { close(done); <-ended }
}

// treeSize adds up the files below directories, but not what a kernel shows
// there.
func treeSize(dirs []string) (n uint64) {
	for _, root := range dirs {
		_ = filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
			if err != nil {
				return nil //nolint:nilerr // files come and go
			}
			if d.IsDir() && filepath.Dir(p) == root && slices.Contains([]string{"proc", "sys", "dev"}, d.Name()) {
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

// counted tells how much went through, at most twice a second.
type counted struct {
	w    io.Writer // one of the two
	r    io.Reader
	n    uint64
	last time.Time
	tell func(n uint64)
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.count(n)
	return n, err
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.count(n)
	return n, err
}

func (c *counted) count(n int) {
	c.n += uint64(n)
	if now := time.Now(); now.Sub(c.last) > 500*time.Millisecond {
		c.last = now
		c.tell(c.n)
	}
}

// debianPackages reads the package database in an archive of a root. It also
// returns where the archive's entries end; what follows is the mark of its end
// (tar(5): two blocks of zeros).
func debianPackages(archive io.ReadSeeker) (packages []Package, end int64, err error) {
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		if path.Clean(h.Name) == "var/lib/dpkg/status" {
			if packages, err = parseStatus(r); err != nil {
				return nil, 0, err
			}
		}
	}
	if packages == nil {
		return nil, 0, errors.New("the root has no package database")
	}
	if end, err = archive.Seek(0, io.SeekCurrent); err != nil {
		return nil, 0, err
	}
	_, err = archive.Seek(0, io.SeekStart)
	return packages, end - 2*512, err
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
