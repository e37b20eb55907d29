package snapshotscli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest"
)

// filesPerDir is how many files a directory of the tree has, as in Capsem's
// own benchmark.
const filesPerDir = 50

// visibleWithin is how long a file that the host has changed may look old in
// the guest: virtiofs may cache attributes for a second.
const visibleWithin = 3 * time.Second

// WorkspaceRoot returns the directory that snapshots are taken of, without
// symbolic links: CAPSEM_BENCH_WORKSPACE, else the home directory. Paths that
// the snapshots command takes are relative to it.
func WorkspaceRoot() (string, error) {
	root := os.Getenv(catalogue.EnvWorkspace)
	if root == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no home directory; set %s to the workspace", catalogue.EnvWorkspace)
		}
		root = home
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "", fmt.Errorf("the workspace: %w; set %s", err, catalogue.EnvWorkspace)
	}
	return real, nil
}

// A Tree is a private directory inside the workspace with files of 4 KiB:
// dir_0/file_0.txt to dir_<n/50>/file_<n-1>.txt.
type Tree struct {
	Files int

	root   string // workspace
	dir    string
	remove func() error
}

// NewTree fills a fresh directory in the workspace. The caller removes it; a
// signal or the watchdog does so for it. Nothing else in the workspace is
// ever written.
func NewTree(root string, files int) (*Tree, error) {
	dir, remove, err := guest.WorkDirIn(treeParent(root))
	if err != nil {
		return nil, err
	}
	t := &Tree{Files: files, root: root, dir: dir, remove: remove}
	if err := t.fill(); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing %d files: %w", files, err), remove())
	}
	return t, nil
}

// treeParent is CAPSEM_BENCH_DIR if that is in the workspace, else its root.
func treeParent(root string) string {
	dir := os.Getenv(catalogue.EnvDir)
	if dir == "" {
		return root
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	rel, rerr := filepath.Rel(root, dir)
	// The gateway refuses a path with ".." anywhere, even inside a name.
	if err != nil || rerr != nil || strings.Contains(rel, "..") {
		return root
	}
	return dir
}

func (t *Tree) fill() error {
	buf := make([]byte, catalogue.SnapshotFileBytes)
	for i := range t.Files {
		name := t.name(i)
		if i%filesPerDir == 0 {
			if err := os.Mkdir(filepath.Dir(name), 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(name, t.original(i, buf), 0o644); err != nil {
			return err
		}
	}
	return syncTree(t.dir)
}

// original returns the first content of a file, in buf.
func (t *Tree) original(i int, buf []byte) []byte {
	var key [32]byte
	copy(key[:], fmt.Sprintf("file %d, seed %d", i, guest.Seed()))
	_, _ = rand.NewChaCha8(key).Read(buf)
	return buf
}

func (t *Tree) name(i int) string {
	return filepath.Join(t.dir, fmt.Sprintf("dir_%d", i/filesPerDir), fmt.Sprintf("file_%d.txt", i))
}

// Rel returns the path of a file relative to the workspace.
func (t *Tree) Rel(i int) string {
	rel, err := filepath.Rel(t.root, t.name(i))
	if err != nil {
		return t.name(i) // not reached: the tree is inside
	}
	return filepath.ToSlash(rel)
}

// Modify gives a file another content and returns its new size. The size has
// to differ: Capsem sees no other change.
func (t *Tree) Modify(i int) (size int64, err error) {
	f, err := os.OpenFile(t.name(i), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := fmt.Fprintf(f, "file %d, modified by capsem-bench\n", i)
	if err == nil {
		err = f.Sync()
	}
	return int64(n), err
}

// CheckOriginal waits until a file has its first content again.
func (t *Tree) CheckOriginal(ctx context.Context, i int) error {
	want := t.original(i, make([]byte, catalogue.SnapshotFileBytes))
	ctx, cancel := context.WithTimeout(ctx, visibleWithin)
	defer cancel()
	for {
		got, err := os.ReadFile(t.name(i))
		if err == nil && bytes.Equal(got, want) {
			return nil
		}
		select {
		case <-ctx.Done():
			if err != nil {
				var pe *os.PathError
				if errors.As(err, &pe) { // its path is that of the guest
					err = pe.Err
				}
				return fmt.Errorf("%s after revert: %w", t.Rel(i), err)
			}
			return fmt.Errorf("%s has other bytes than before, %d of them", t.Rel(i), len(got))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Remove removes the tree.
func (t *Tree) Remove() error { return t.remove() }
