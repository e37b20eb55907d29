package qemu

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/capsem/capsem-bench/internal/vmconfig"
)

// writeModules writes the part of the initramfs that belongs to a kernel: its
// modules, named so that they sort in the order of loading.
func writeModules(path string, files []string) error {
	return writeArchive(path, func(c *cpioWriter) error {
		for i, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			c.file(fmt.Sprintf("modules/%02d-%s", i, filepath.Base(file)), 0o400, data)
		}
		return nil
	})
}

// writeInitrd writes a machine's initramfs: the kernel's modules and then what
// is this machine's own, init and its configuration.
func writeInitrd(path, modules, guest string, programs map[string]string, cfg vmconfig.Config) error {
	program, err := os.ReadFile(guest)
	if err != nil {
		return err
	}
	config, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	return writeArchive(path, func(c *cpioWriter) error {
		if modules != "" {
			if err := c.append(modules); err != nil {
				return err
			}
		}
		// The kernel opens the console before init can mount anything.
		c.charDevice("dev/console", 5, 1)
		c.file("init", 0o755, program)
		c.file(vmconfig.Path, 0o400, config)
		for _, name := range slices.Sorted(maps.Keys(programs)) {
			data, err := os.ReadFile(programs[name])
			if err != nil {
				return err
			}
			c.file(vmconfig.ProgramsDir+"/"+name, 0o755, data)
		}
		return nil
	})
}

// append copies a whole archive. The kernel wants the next one to begin at a
// multiple of four.
func (c *cpioWriter) append(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(c.w, f)
	c.n += n
	c.pad()
	return err
}

func writeArchive(path string, fill func(*cpioWriter) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	c := newCpio(w)
	if err := fill(c); err != nil {
		return err
	}
	if err := c.close(); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
