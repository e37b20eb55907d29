package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/userfile"
	"github.com/capsem/capsem-bench/compare"
	"golang.org/x/sync/errgroup"
)

// loadSide reads one side of a comparison: a file of one boot, a directory of
// one file a boot, or "-" for standard input. Several are separated by commas.
func (a *app) loadSide(arg string) (*compare.Side, error) {
	names := strings.Split(arg, ",")
	if _, err := os.Stat(arg); err == nil { // a name with a comma in it
		names = []string{arg}
	}
	var files []string
	for _, name := range names {
		found, err := bootFiles(name)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	side, err := a.loadBoots(files)
	if err != nil {
		return nil, err
	}
	side.Name = arg
	return side, nil
}

// bootFiles returns the files of one part of a side.
func bootFiles(name string) ([]string, error) {
	if name == "-" {
		return []string{name}, nil
	}
	if name == "" {
		return nil, errors.New("a side has no name; want a file, a directory or -")
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	return bootsIn(name, entries)
}

// bootsIn chooses the boots of a directory: its .txt and .json files. A JSON
// document beside its text, and the summary of a directory of texts, say the
// same once more and are left out.
func bootsIn(dir string, entries []fs.DirEntry) ([]string, error) {
	var texts, docs []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || e.IsDir() {
			continue
		}
		switch filepath.Ext(e.Name()) {
		case ".txt":
			texts = append(texts, e.Name())
		case ".json":
			docs = append(docs, e.Name())
		}
	}
	out := slices.Clone(texts)
	for _, d := range docs {
		twin := strings.TrimSuffix(d, ".json") + ".txt"
		if !slices.Contains(texts, twin) && (d != jsonName || len(texts) == 0) {
			out = append(out, d)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no boot in it; want one .txt or .json file a boot%s", dir, runsInside(dir, entries))
	}
	slices.Sort(out)
	for i, n := range out {
		out[i] = filepath.Join(dir, n)
	}
	return out, nil
}

// runsInside names directories in a directory that have boots: somebody gave
// the place of all runs for one of them.
func runsInside(dir string, entries []fs.DirEntry) string {
	var runs []string
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if inside, err := os.ReadDir(name); err == nil && !strings.HasPrefix(e.Name(), ".") {
			if boots, err := bootsIn(name, inside); err == nil && len(boots) > 0 {
				runs = append(runs, name)
			}
		}
	}
	if len(runs) == 0 {
		return ""
	}
	newest := runs[len(runs)-1] // names begin with the time
	if len(runs) == 1 {
		return "; there is a run in " + newest
	}
	return fmt.Sprintf("; there are %d runs in it, the last of which is %s", len(runs), newest)
}

// loadBoots reads files in the given order, several at a time.
func (a *app) loadBoots(files []string) (*compare.Side, error) {
	type read struct {
		boots []compare.Boot
		notes []string
	}
	all := make([]read, len(files))
	var g errgroup.Group
	g.SetLimit(max(2, runtime.NumCPU()))
	for i, name := range files {
		g.Go(func() error {
			var err error
			if name == "-" {
				all[i].boots, all[i].notes, err = compare.ReadBoots(a.stdin, "standard input")
				return err
			}
			data, err := userfile.Read(name)
			if err != nil {
				return err
			}
			all[i].boots, all[i].notes, err = compare.ParseBoots(data, name)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	side := new(compare.Side)
	for _, r := range all {
		side.Boots = append(side.Boots, r.boots...)
		side.Notes = append(side.Notes, r.notes...)
	}
	once(side)
	return side, nil
}

// once leaves out boots that are there already, byte for byte: a boot that was
// given twice is one observation. Two boots differ in their first lines.
func once(side *compare.Side) {
	boots := side.Boots[:0]
	for _, b := range side.Boots {
		twin := slices.IndexFunc(boots, func(first compare.Boot) bool { return bytes.Equal(first.Text, b.Text) })
		if twin < 0 {
			boots = append(boots, b)
			continue
		}
		side.Notes = append(side.Notes, fmt.Sprintf("%s is the same boot as %s, and counts once", b.Name, boots[twin].Name))
	}
	side.Boots = boots
}

// loadSides reads both sides. Standard input can be only one of them.
func (a *app) loadSides(args []string) (base, cand *compare.Side, err error) {
	if args[0] == "-" && args[1] == "-" {
		return nil, nil, usage("standard input can be one side only")
	}
	if base, err = a.loadSide(args[0]); err != nil {
		return nil, nil, exit(exitUsage, err)
	}
	if cand, err = a.loadSide(args[1]); err != nil {
		return nil, nil, exit(exitUsage, err)
	}
	return base, cand, nil
}

// joined is the text of all boots of a side.
func joined(s *compare.Side) io.Reader {
	var texts []io.Reader
	for _, b := range s.Boots {
		texts = append(texts, bytes.NewReader(b.Text), strings.NewReader("\n"))
	}
	return io.MultiReader(texts...)
}
