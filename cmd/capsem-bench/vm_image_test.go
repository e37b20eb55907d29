//go:build vmtest

package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// spoil changes a file of the trial's image, which has its own copy then.
func (tr *vmTrial) spoil(t *testing.T, name string, change func(t *testing.T, f *os.File)) {
	t.Helper()
	path := filepath.Join(tr.image, name)
	in, err := os.Open(path)
	require.NoError(t, err)
	defer in.Close()
	require.NoError(t, os.Remove(path))
	out, err := os.Create(path)
	require.NoError(t, err)
	_, err = io.Copy(out, in)
	require.NoError(t, err)
	change(t, out)
	require.NoError(t, out.Close())
}

func truncate(t *testing.T, f *os.File) {
	t.Helper()
	info, err := f.Stat()
	require.NoError(t, err)
	require.NoError(t, f.Truncate(info.Size()/2))
}

// flip changes a byte in the middle of a file.
func flip(t *testing.T, f *os.File) {
	t.Helper()
	info, err := f.Stat()
	require.NoError(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, info.Size()/2)
	require.NoError(t, err)
	b[0] ^= 0xff
	_, err = f.WriteAt(b, info.Size()/2)
	require.NoError(t, err)
}

// An image that is not what its manifest says is not measured in, whatever
// the guest makes of it.
func TestVMImageIsAnother(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		change     func(t *testing.T, f *os.File)
	}{
		{"rootfs", "rootfs.squashfs", flip},
		{"kernel", "vmlinuz", flip},
		{"short kernel", "vmlinuz", truncate},
		{"modules", "modules.cpio", truncate},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newVMTrial(t)
			tr.spoil(t, tt.file, tt.change)
			tr.measure(t, "startup")
			assert.Equal(t, exitUnfit, tr.wait(t), tr.stderr.String())
			assert.Regexp(t, `capsem-bench: no usable image: `+tt.file+` has digest [0-9a-f]{12}, its manifest says [0-9a-f]{12}; build it with 'capsem-bench vm build --fresh'\n`,
				tr.stderr.String())
			assert.Empty(t, tr.stdout.String())
			assert.Empty(t, tr.results(t))
		})
	}
}

// One that is not whole is built again. Where that cannot be, both reasons are
// printed, and what was there stays.
func TestVMImageIsTruncated(t *testing.T) {
	for _, file := range []string{"rootfs.squashfs", "manifest.json"} {
		t.Run(file, func(t *testing.T) {
			tr := newVMTrial(t)
			tr.spoil(t, file, truncate)
			tr.measure(t, "--mirror", "http://127.0.0.1:1/debian", "startup")
			assert.Equal(t, exitUnfit, tr.wait(t), tr.stderr.String())
			assert.Regexp(t, `(?m)^capsem-bench: the image in the cache cannot be used and is built again, which takes minutes: `, tr.stderr.String())
			assert.Contains(t, tr.stderr.String(), "building the minimal image: apt-get: ")
			assert.Contains(t, tr.stderr.String(), "no usable image in "+tr.image+": ")
			assert.Contains(t, tr.stderr.String(), file)
			assert.Empty(t, tr.stdout.String())
			assert.NoDirExists(t, filepath.Join(tr.dir, resultsDir))
			assert.DirExists(t, tr.image)
		})
	}
}
