package qemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/digest"
)

// The files of an image.
const (
	rootfsFile   = "rootfs.squashfs"
	kernelFile   = "vmlinuz"
	modulesFile  = "modules.cpio"
	manifestFile = "manifest.json"
)

// A Package is one installed package.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	From    string `json:"from"` // "debian" or "npm"
}

// A Manifest says what an image is made of. Equal packages make an equal
// rootfs, byte for byte.
type Manifest struct {
	Profile  string    `json:"profile"`
	Arch     Arch      `json:"arch"`
	Suite    string    `json:"suite"`
	Inputs   string    `json:"inputs"` // digest of what the build was given
	Digest   string    `json:"digest"` // of the rootfs: sha256:<hex>
	Size     int64     `json:"size"`   // of the rootfs, bytes
	Kernel   string    `json:"kernel"` // version of its package
	Files    []File    `json:"files"`  // kernel and modules
	Packages []Package `json:"packages"`
}

// A File is one file of an image beside the rootfs.
type File struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// An Image is a kernel with its modules and a rootfs.
type Image struct {
	Manifest
	dir string
}

// ErrNoImage says that an image is not there or not whole.
var ErrNoImage = errors.New("no usable image")

// maxManifest is far above the 40 kB of a full image's manifest.
const maxManifest = 8 << 20

// OpenImage reads the manifest of the image in dir and checks that its rootfs
// has the right size. Verify reads the contents.
func OpenImage(dir string) (*Image, error) {
	bad := func(err error) error {
		return fmt.Errorf("%w in %s: %w; build it with 'capsem-bench vm build --fresh'", ErrNoImage, dir, err)
	}
	f, err := os.Open(filepath.Join(dir, manifestFile))
	if err != nil {
		return nil, bad(err)
	}
	defer f.Close()
	image := &Image{dir: dir}
	if err := json.NewDecoder(io.LimitReader(f, maxManifest)).Decode(&image.Manifest); err != nil {
		return nil, bad(fmt.Errorf("reading %s: %w", manifestFile, err))
	}
	if err := image.check(); err != nil {
		return nil, bad(fmt.Errorf("%s: %w", manifestFile, err))
	}
	info, err := os.Stat(image.Rootfs())
	if err != nil {
		return nil, bad(err)
	}
	if info.Size() != image.Size {
		return nil, bad(fmt.Errorf("%s has %d bytes, its manifest says %d", rootfsFile, info.Size(), image.Size))
	}
	return image, nil
}

// check holds a manifest to what it has to vouch for: the kernel and the
// modules, which run as the guest's and are read by the host, by their names in
// the image's own directory. An image may come from elsewhere.
func (m Manifest) check() error {
	for _, f := range m.Files {
		if !filepath.IsLocal(f.Name) || filepath.Base(f.Name) != f.Name || f.Name == "." {
			return fmt.Errorf("%.100q is no name of a file in the image", f.Name)
		}
	}
	for _, want := range []string{kernelFile, modulesFile} {
		if !slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == want }) {
			return fmt.Errorf("no digest of %s", want)
		}
	}
	return nil
}

// Rootfs is the path of the root filesystem.
func (i *Image) Rootfs() string { return filepath.Join(i.dir, rootfsFile) }

// Kernel is the path of the kernel.
func (i *Image) Kernel() string { return filepath.Join(i.dir, kernelFile) }

// Modules is the path of the initramfs with the kernel's modules.
func (i *Image) Modules() string { return filepath.Join(i.dir, modulesFile) }

// Dir is the image's directory.
func (i *Image) Dir() string { return i.dir }

// Verify reads the image and compares it with its manifest. A gigabyte takes
// about a second.
func (i *Image) Verify() error {
	files := append([]File{{rootfsFile, i.Digest}}, i.Files...)
	for _, f := range files {
		got, err := digestFile(filepath.Join(i.dir, f.Name))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNoImage, err)
		}
		if got != f.Digest {
			return fmt.Errorf("%w: %s has digest %s, its manifest says %s; build it with 'capsem-bench vm build --fresh'",
				ErrNoImage, f.Name, short(got), short(f.Digest))
		}
	}
	return nil
}

const digestPrefix = "sha256:"

func digestFile(path string) (string, error) {
	sum, err := digest.File(path)
	return digestPrefix + sum, err
}

func digestText(parts ...string) string {
	return digest.Bytes([]byte(strings.Join(parts, "\x00")))
}

// short is a digest as people compare it.
func short(digest string) string {
	digest = strings.TrimPrefix(digest, digestPrefix)
	return digest[:min(12, len(digest))]
}
