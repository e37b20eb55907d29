package qemu

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// cpioWriter writes an initramfs: the "newc" form of cpio that the kernel
// unpacks (Documentation/driver-api/early-userspace/buffer-format.rst). Owner
// and times are 0, so equal contents are equal archives. The first error
// stays and is returned by close.
type cpioWriter struct {
	w    io.Writer
	n    int64 // written
	ino  uint32
	dirs map[string]bool
	err  error
}

func newCpio(w io.Writer) *cpioWriter { return &cpioWriter{w: w, dirs: make(map[string]bool)} }

// File types, as in inode(7).
const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeChar = 0o020000
)

func (c *cpioWriter) file(name string, perm uint32, data []byte) {
	c.parents(name)
	c.entry(name, modeFile|perm, 0, 0, data)
}

func (c *cpioWriter) dir(name string) {
	name = strings.TrimPrefix(name, "/")
	if !c.dirs[name] {
		c.parents(name)
		c.dirs[name] = true
		c.entry(name, modeDir|0o755, 0, 0, nil)
	}
}

func (c *cpioWriter) charDevice(name string, major, minor uint32) {
	c.parents(name)
	c.entry(name, modeChar|0o600, major, minor, nil)
}

func (c *cpioWriter) parents(name string) {
	if dir := path.Dir(name); dir != "." && dir != "/" {
		c.dir(dir)
	}
}

func (c *cpioWriter) entry(name string, mode, major, minor uint32, data []byte) {
	name = strings.TrimPrefix(name, "/")
	c.ino++
	links := 1
	if mode&modeDir != 0 {
		links = 2
	}
	c.printf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		c.ino, mode, 0, 0, links, 0, len(data), 0, 0, major, minor, len(name)+1, 0, name)
	c.pad()
	c.write(data)
	c.pad()
}

// close ends the archive; another may follow it.
func (c *cpioWriter) close() error {
	c.ino = 0
	c.entry("TRAILER!!!", 0, 0, 0, nil)
	return c.err
}

func (c *cpioWriter) pad() { c.write(make([]byte, -c.n&3)) }

func (c *cpioWriter) printf(format string, args ...any) { c.write(fmt.Appendf(nil, format, args...)) }

func (c *cpioWriter) write(p []byte) {
	if c.err != nil || len(p) == 0 {
		return
	}
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.err = err
}
