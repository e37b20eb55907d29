package qemu

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// guestModules are the drivers that a guest needs and nothing else. Those a
// kernel has built in are left out where they are.
func guestModules() []string {
	return []string{"virtio_pci", "virtio_blk", "squashfs", "overlay", "virtiofs", "vmw_vsock_virtio_transport"}
}

// moduleOrder returns the files of the modules and of all that they depend
// on, every one after what it depends on. dir is /lib/modules/<version>.
//
// It reads the dependencies that each module states itself (.modinfo), for
// modules.dep exists only where depmod has run.
func moduleOrder(dir string, names []string) ([]string, error) {
	files, err := moduleFiles(dir)
	if err != nil {
		return nil, err
	}
	builtin, err := builtinModules(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	var order []string
	state := make(map[string]bool) // true when done, false while under way
	var visit func(name string) error
	visit = func(name string) error {
		name = moduleName(name)
		if _, seen := state[name]; seen || builtin[name] {
			return nil
		}
		state[name] = false
		file := files[name]
		if file == "" {
			return fmt.Errorf("the kernel in %s has no module %s", dir, name)
		}
		needs, err := moduleDepends(file)
		if err != nil {
			return err
		}
		for _, need := range needs {
			if err := visit(need); err != nil {
				return err
			}
		}
		state[name] = true
		order = append(order, file)
		return nil
	}
	for _, name := range names {
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// moduleName is the name as the kernel compares it: modules use - and _ for
// the same.
func moduleName(s string) string { return strings.ReplaceAll(s, "-", "_") }

func moduleFiles(dir string) (map[string]string, error) {
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name, ok := strings.CutSuffix(d.Name(), ".ko"); ok && d.Type().IsRegular() {
			files[moduleName(name)] = path
		}
		return nil
	})
	return files, err
}

func builtinModules(path string) (map[string]bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		name := strings.TrimSuffix(filepath.Base(strings.TrimSpace(line)), ".ko")
		names[moduleName(name)] = true
	}
	return names, nil
}

// moduleDepends reads the modules that one needs.
func moduleDepends(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading module: %w", err)
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%s is no kernel module", path)
	}
	info, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("reading module %s: %w", path, err)
	}
	var out []string
	for field := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := strings.CutPrefix(string(field), "depends="); ok && list != "" {
			out = append(out, strings.Split(list, ",")...)
		}
	}
	return out, nil
}
