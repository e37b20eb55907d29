package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/sandbox/qemu"
)

// The library that a debugging image runs its programs with: AddressSanitizer,
// a part of GCC.
const sanitizer = "libasan.so"

// debugImage is a trial of VMs with two images, of which the new one runs every
// program that is linked dynamically under AddressSanitizer. That is python3,
// whose start is measured; requests are made by the guest binary, which is not.
// Of so few metrics 13 boots a side can show a regression, even with two bad ones.
func debugImage(ctx context.Context, command, out string, stderr io.Writer) (trial, error) {
	var base bytes.Buffer
	if status, err := call(ctx, &base, stderr, command, "vm", "build", "--profile", string(qemu.Minimal)); err != nil || status != 0 {
		return trial{}, fmt.Errorf("'capsem-bench vm build' ended with status %d: %w", status, err)
	}
	image, err := qemu.OpenImage(strings.TrimSpace(base.String()))
	if err != nil {
		return trial{}, err
	}
	dir := filepath.Join(out, "image")
	if err := sanitized(ctx, image, dir, filepath.Join(out, "root")); err != nil {
		return trial{}, fmt.Errorf("making an image for debugging, which takes gcc, unsquashfs and mksquashfs: %w", err)
	}
	return trial{
		args:  []string{"--sandbox=qemu", "--base=" + image.Dir(), "--cand=" + dir},
		looks: 13,
		expected: expected{
			measure: []string{string(catalogue.Startup), string(catalogue.HTTP)},
			named:   []string{"startup/python3"},
		},
	}, nil
}

// sanitized makes a copy of an image in dir whose dynamic linker loads the
// sanitizer into every program (ld.so(8)).
func sanitized(ctx context.Context, image *qemu.Image, dir, root string) error {
	library, err := exec.CommandContext(ctx, "gcc", "-print-file-name="+sanitizer).Output()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(strings.TrimSpace(string(library)))
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, os.DirFS(image.Dir())); err != nil {
		return err
	}
	rootfs := filepath.Join(dir, filepath.Base(image.Rootfs()))
	if err := tool(ctx, "unsquashfs", "-quiet", "-no-progress", "-d", root, rootfs); err != nil {
		return err
	}
	defer os.RemoveAll(root)
	const place = "/usr/lib/" + sanitizer
	if err := os.WriteFile(filepath.Join(root, place), text, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "etc", "ld.so.preload"), []byte(place+"\n"), 0o644); err != nil {
		return err
	}
	// Packed as 'vm build' packs it, so that the sanitizer is all that differs.
	if err := tool(ctx, "mksquashfs", root, rootfs, "-noappend", "-all-root", "-comp", "zstd", "-Xcompression-level", "9", "-quiet", "-no-progress"); err != nil {
		return err
	}
	return image.Seal(dir)
}

func tool(ctx context.Context, name string, args ...string) error {
	if text, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, text)
	}
	return nil
}
