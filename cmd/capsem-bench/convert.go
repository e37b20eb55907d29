package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/spf13/cobra"
)

// convertCommand turns benchmark text into JSON and tables.
func (a *app) convertCommand() *cobra.Command {
	opt := new(measureOptions)
	cmd := &cobra.Command{
		Use:   "convert [FILE...|-]",
		Short: "Turn benchmark text into JSON and tables",
		Long: `convert reads the benchmark text of the guest binary, plain, from -test.v or
from -test.v=test2json, and writes one JSON document to standard output and
tables to standard error. Several files are the boots of one measurement: the
figures are medians over all their rounds. Without a file, or with -, it reads
standard input.

Exit status 1 says that the text is of a run that failed or did not come to
its end; the document is complete all the same and names what is missing.`,
		Example: `  capsem-bench convert results/today/bench.txt > bench.json
  capsem-bench convert results/today/boot-*.txt --json boots.json
  ./capsem-bench.test -test.bench=Disk | capsem-bench convert`,
		RunE: func(_ *cobra.Command, args []string) error { return a.convert(opt, args) },
	}
	f := cmd.Flags()
	f.StringVar(&opt.json, "json", "", "write the JSON document to `FILE` too")
	f.BoolVarP(&opt.quiet, "quiet", "q", false, "no tables")
	return cmd
}

func (a *app) convert(opt *measureOptions, names []string) error {
	in, err := a.open(names)
	if err != nil {
		return exit(exitUsage, err)
	}
	defer in.Close()
	rep, err := convert.ReadAll(in.sources()...)
	if err != nil {
		return exit(exitUsage, err)
	}
	if len(rep.Ops) == 0 {
		return usage("%s: no benchmark text; want what capsem-bench.test prints, or use 'capsem-bench import' for JSON", in.name())
	}
	if err := a.present(opt, rep); err != nil {
		return err
	}
	if rep.Run != nil && !rep.Complete() {
		return exit(exitFailed, fmt.Errorf("%s: the run did not come to its end", in.name()))
	}
	return exit(exitFailed, unmeasured(rep))
}

// importCommand turns Capsem JSON into benchmark text.
func (a *app) importCommand() *cobra.Command {
	var out string
	var quiet bool
	cmd := &cobra.Command{
		Use:   "import FILE...|-",
		Short: "Turn Capsem JSON of any known shape into benchmark text",
		Long: `import reads the JSON documents of Capsem's benchmark and of capsem-bench, of
every shape with schema version 0.3.0, and writes benchmark text to standard
output, which benchstat reads. What a document says beyond the six categories is
listed on standard error.`,
		Example: `  capsem-bench import data_1.5.1.json > old.txt
  capsem-bench import --out history data_*.json
  curl -s https://example.com/bench.json | capsem-bench import - > new.txt`,
		Args: minArgs(1, "at least one file, or - for standard input"),
		RunE: func(_ *cobra.Command, args []string) error { return a.importFiles(args, out, quiet) },
	}
	cmd.Flags().StringVar(&out, "out", "", "write one text file per document into `DIR` instead")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "do not list what was left out")
	return cmd
}

func (a *app) importFiles(names []string, out string, quiet bool) error {
	in, err := a.open(names)
	if err != nil {
		return exit(exitUsage, err)
	}
	defer in.Close()
	texts := make([]strings.Builder, len(in))
	for i, f := range in { // all of them before the first is written
		notes, err := convert.Import(&texts[i], f, f.name)
		if err != nil {
			return exit(exitUsage, err)
		}
		for _, n := range notes {
			if !quiet {
				fmt.Fprintf(a.stderr, "%s: %s\n", f.name, clean(n))
			}
		}
	}
	if out == "" {
		for i := range texts {
			if err := a.output(texts[i].String()); err != nil {
				return err
			}
		}
		return nil
	}
	return exit(exitUnfit, writeTexts(out, in, texts))
}

// writeTexts writes each text into a file called as its source.
func writeTexts(dir string, in inputs, texts []strings.Builder) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	seen := make(map[string]string)
	for i, f := range in {
		base := strings.TrimSuffix(filepath.Base(f.name), filepath.Ext(f.name)) + ".txt"
		if other, ok := seen[base]; ok {
			return fmt.Errorf("%s and %s would both become %s; import them into different directories", other, f.name, filepath.Join(dir, base))
		}
		seen[base] = f.name
		if err := atomicfile.Write(filepath.Join(dir, base), []byte(texts[i].String())); err != nil {
			return err
		}
	}
	return nil
}

// An input is one open file, or standard input.
type input struct {
	name string
	io.Reader
	close func() error
}

type inputs []input

// open opens files; "-" is standard input, and so is no name at all.
func (a *app) open(names []string) (in inputs, err error) {
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		if name == "-" {
			in = append(in, input{"standard input", a.stdin, func() error { return nil }})
			continue
		}
		f, err := os.Open(name)
		if err == nil {
			var info os.FileInfo
			if info, err = f.Stat(); err == nil && info.IsDir() {
				err = fmt.Errorf("%s is a directory; want a file in it", name)
			}
		}
		if err != nil {
			in.Close()
			return nil, err
		}
		in = append(in, input{name, f, f.Close})
	}
	return in, nil
}

func (in inputs) sources() (out []convert.Source) {
	for _, f := range in {
		out = append(out, convert.Source{Name: f.name, Reader: f.Reader})
	}
	return out
}

// name is what a message about all of them calls them.
func (in inputs) name() string {
	if len(in) == 1 {
		return in[0].name
	}
	return fmt.Sprintf("%s and %d more", in[0].name, len(in)-1)
}

// Close closes them.
func (in inputs) Close() error {
	var errs []error
	for _, f := range in {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}
