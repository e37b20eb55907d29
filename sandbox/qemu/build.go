package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// A Profile is a choice of what a guest has.
type Profile string

const (
	Minimal Profile = "minimal" // python3, curl, certificates
	Full    Profile = "full"    // also node, and the claude, gemini and codex CLIs
)

// BuildOptions say which image is wanted.
type BuildOptions struct {
	Profile Profile
	Arch    Arch
	// Mirror replaces the mirror of apt's configuration.
	Mirror string
	// Fresh builds even if the image is there, with today's packages.
	Fresh bool
	// Notify is called with what is under way; nil is no call.
	Notify func(what string)
	// Warn is called with what people should know without a terminal too; nil is no call.
	Warn func(remark string)
}

// HostArch is this machine's architecture.
func HostArch() Arch { return Arch(runtime.GOARCH) }

// buildVersion changes with what the build does, so that older images are not
// taken for its results.
const buildVersion = "1"

// packages are what the rootfs has beside Debian's essential ones.
func (o BuildOptions) packages() []string {
	names := []string{"ca-certificates", "curl", "iproute2", "mount", "procps", "python3"}
	if o.Profile == Full {
		names = append(names, "libstdc++6") // node is linked with it
	}
	return names
}

// unpacked reports whether packages are only unpacked.
func (o BuildOptions) unpacked() bool { return o.Arch != HostArch() }

// inputs is the digest of all that decides about an image but the versions of
// packages, which Debian chooses.
func (o BuildOptions) inputs() string {
	parts := append([]string{buildVersion, string(o.Profile), string(o.Arch), Suite}, o.packages()...)
	parts = append(parts, guestModules()...)
	if o.unpacked() {
		parts = append(parts, unpackBefore, unpackAfter)
	}
	if o.Profile == Full {
		parts = append(parts, npmInputs()...)
	}
	return digestText(parts...)
}

// ImageDir is where the image is kept.
func (o BuildOptions) ImageDir() (string, error) {
	dir, err := imagesDir()
	return filepath.Join(dir, fmt.Sprintf("%s-%s-%s", o.Profile, o.Arch, o.inputs()[:12])), err
}

func imagesDir() (string, error) {
	dir, err := CacheDir()
	return filepath.Join(dir, "images"), err
}

func (o BuildOptions) notify(format string, args ...any) {
	if o.Notify != nil {
		o.Notify(fmt.Sprintf(format, args...))
	}
}

// Build returns the image, from the cache or built. It is built beside its
// place and moved there when it is whole; of two builds at once one waits for
// the other.
func Build(ctx context.Context, o BuildOptions) (*Image, error) {
	dir, err := o.ImageDir()
	if err != nil {
		return nil, err
	}
	var broken error // what is wrong with the image that is there
	if !o.Fresh {
		image, err := openUsed(dir)
		if err == nil {
			return image, nil
		}
		if _, statErr := os.Stat(dir); statErr == nil {
			broken = err
			o.notify("building the image again: %v", err)
			if o.Warn != nil {
				o.Warn(fmt.Sprintf("the image in the cache cannot be used and is built again, which takes minutes: %v", err))
			}
		}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	unlock, err := o.lock(ctx, dir+".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if !o.Fresh {
		if image, err := openUsed(dir); err == nil { // built while we waited
			return image, nil
		}
	}
	if err := o.build(ctx, dir); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, errors.Join(fmt.Errorf("building the %s image: %w", o.Profile, err), broken)
	}
	o.pruneUnused()
	return OpenImage(dir)
}

// openUsed opens an image and notes the time in its directory, which says when
// it was last used.
func openUsed(dir string) (*Image, error) {
	image, err := OpenImage(dir)
	if err == nil {
		now := time.Now()
		_ = os.Chtimes(dir, now, now) // the cache may be read-only
	}
	return image, err
}

func (o BuildOptions) lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for !lock(f.Fd()) {
		o.notify("waiting for another build of this image")
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return func() { _ = f.Close() }, nil
}

// scratchPrefix begins the names of the directories that builds work in.
const scratchPrefix = "capsem-image-"

// checkTools names what a build lacks.
func (o BuildOptions) checkTools() error {
	var missing []string
	tools := []string{"apt-get", "dpkg-deb", "mmdebstrap", "mksquashfs"}
	if os.Geteuid() != 0 {
		tools = append(tools, userNamespaces)
	}
	if o.Profile == Full {
		tools = append(tools, "npm")
	}
	for _, t := range tools {
		if _, err := exec.LookPath(t); err != nil {
			missing = append(missing, t)
		}
	}
	if missing != nil {
		return fmt.Errorf("%s: %w; '%s' installs what is missing", strings.Join(missing, ", "), ErrTool, SetupCommand(o.Profile, o.Arch))
	}
	return nil
}

// SetupCommand is the command that installs what machines of a kind need.
func SetupCommand(profile Profile, arch Arch) string {
	line := "capsem-bench vm setup"
	if profile != Minimal {
		line += " --profile " + string(profile)
	}
	if arch != HostArch() {
		line += " --arch " + string(arch)
	}
	return line
}

func (o BuildOptions) build(ctx context.Context, dir string) error {
	if err := o.checkRoom(dir); err != nil {
		return err
	}
	if err := o.checkTools(); err != nil {
		return err
	}
	mirrors := Mirrors{Main: o.Mirror}
	if o.Mirror == "" {
		var err error
		if mirrors, err = FindMirrors(ctx); err != nil {
			return err
		}
	}
	sweepBuilds(dir)
	// The scratch directory is world readable: apt and a user namespace's
	// root go through it.
	work, err := newDir(os.TempDir(), scratchPrefix)
	if err != nil {
		return err
	}
	defer work.Close()
	scratch := work.Path()
	if err := os.Chmod(scratch, 0o755); err != nil {
		return err
	}
	out, err := os.MkdirTemp(filepath.Dir(dir), ".building-"+filepath.Base(dir)+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(out)
	m := Manifest{Profile: string(o.Profile), Arch: o.Arch, Suite: Suite, Inputs: o.inputs()}
	if err := o.kernel(ctx, mirrors, scratch, out, &m); err != nil {
		return err
	}
	if err := o.rootfs(ctx, mirrors, scratch, out, &m); err != nil {
		return err
	}
	if err := m.Seal(out); err != nil {
		return err
	}
	if err := os.Chmod(out, 0o755); err != nil {
		return err
	}
	return replaceDir(out, dir)
}

// replaceDir moves a directory into its place. A machine that runs from the
// old one keeps its files open.
func replaceDir(from, to string) error {
	old := from + ".old"
	if err := os.Rename(to, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	defer os.RemoveAll(old)
	return os.Rename(from, to)
}

// Seal writes the manifest of the image in a directory, with the digests of
// its files.
func (m Manifest) Seal(dir string) error {
	m.Files = nil
	var err error
	if m.Digest, err = digestFile(filepath.Join(dir, rootfsFile)); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(dir, rootfsFile))
	if err != nil {
		return err
	}
	m.Size = info.Size()
	for _, name := range []string{kernelFile, modulesFile} {
		digest, err := digestFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		m.Files = append(m.Files, File{name, digest})
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, manifestFile), append(text, '\n'), 0o644)
}

// kernel fetches Debian's kernel and packs the modules that a guest loads.
func (o BuildOptions) kernel(ctx context.Context, mirrors Mirrors, scratch, out string, m *Manifest) error {
	dir := filepath.Join(scratch, "apt")
	stop := o.watchGrowth("image: package lists", func() []string { return []string{filepath.Join(dir, "lists")} })
	apt, err := newPrivateApt(ctx, dir, o.Arch, mirrors.sources(Suite))
	stop()
	if err != nil {
		return err
	}
	name, err := apt.dependency(ctx, "linux-image-"+string(o.Arch))
	if err != nil {
		return err
	}
	stop = o.watchGrowth("image: downloading "+name, func() []string {
		debs, _ := filepath.Glob(filepath.Join(dir, downloads, name+"_*"))
		return append(debs, filepath.Join(dir, "partial"), filepath.Join(dir, "cache"))
	})
	deb, err := apt.download(ctx, name)
	stop()
	if err != nil {
		return err
	}
	if info, err := os.Stat(deb); err == nil {
		o.notify("image: unpacking %s, %s", name, humanize.IBytes(uint64(info.Size())))
	}
	if m.Kernel, err = output(ctx, "dpkg-deb", "--field", deb, "Version"); err != nil {
		return err
	}
	m.Kernel = name + " " + strings.TrimSpace(m.Kernel)
	tree := filepath.Join(scratch, "kernel")
	if _, err := output(ctx, "dpkg-deb", "--extract", deb, tree); err != nil {
		return err
	}
	version := strings.TrimPrefix(name, "linux-image-")
	if err := copyFile(filepath.Join(out, kernelFile), filepath.Join(tree, "boot", "vmlinuz-"+version)); err != nil {
		return err
	}
	files, err := moduleOrder(filepath.Join(tree, "lib", "modules", version), guestModules())
	if err != nil {
		return err
	}
	if err := writeModules(filepath.Join(out, modulesFile), files); err != nil {
		return err
	}
	return os.RemoveAll(tree)
}

func copyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		_ = dst.Close()
		return err
	}
	return dst.Close()
}
