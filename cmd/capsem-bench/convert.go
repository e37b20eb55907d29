package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/userfile"
	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/digest"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/spf13/cobra"
)

// convertCommand turns benchmark text into JSON and tables.
func (a *app) convertCommand() *cobra.Command {
	opt, format := new(measureOptions), ""
	cmd := &cobra.Command{
		Use:   "convert [FILE...|DIR|-]",
		Short: "Turn benchmark text into JSON and tables",
		Long: `convert reads the benchmark text of the guest binary, plain, from -test.v or
from -test.v=test2json, and writes one JSON document to standard output and
tables to standard error. Several files are the boots of one measurement: the
figures are medians over all their rounds. Of a directory it reads the run in
it. Without a file, or with -, it reads standard input.

With --format csv, markdown or json-flat, standard output gets one row for each
value in place of the document: op, unit, value, round and boot.

Exit status 1 says that the text is of a run that failed or did not come to
its end; the document is complete all the same and names what is missing.`,
		Example: `  capsem-bench convert results/today/bench.txt > bench.json
  capsem-bench convert results/today/boot-*.txt --json boots.json
  ./capsem-bench.test -test.bench=Disk | capsem-bench convert`,
		RunE: func(_ *cobra.Command, args []string) error {
			if format == jsonFormat {
				return a.convert(opt, args)
			}
			return a.convertFlat(format, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", jsonFormat, "`json`, csv, markdown or json-flat")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(convertFormats(), cobra.ShellCompDirectiveNoFileComp))
	f.StringVar(&opt.json, "json", "", "write the JSON document to `FILE` too")
	f.BoolVarP(&opt.quiet, "quiet", "q", false, "no tables")
	return cmd
}

// readText reads one text, of which the sources are the parts. A text without a
// benchmark and without a failure is none.
func readText(name string, sources ...convert.Source) (*convert.Report, error) {
	rep, err := convert.ReadAll(sources...)
	if err != nil {
		return nil, exit(exitUsage, err)
	}
	if len(rep.Ops) == 0 && len(rep.Failures) == 0 {
		return nil, usage("%s: no benchmark text; want what capsem-bench.test prints, or use 'capsem-bench import' for JSON%s", name, rep.FirstWarning())
	}
	return rep, nil
}

func (a *app) convert(opt *measureOptions, names []string) error {
	in, err := a.openRuns(names)
	if err != nil {
		return exit(exitUsage, err)
	}
	defer in.Close()
	if err := opt.replaceable(in.infos()...); err != nil {
		return err
	}
	rep, err := readText(in.name(), in.sources()...)
	if err != nil {
		return err
	}
	if err := a.present(opt, rep); err != nil {
		return err
	}
	return ended(rep, in.name())
}

// ended is the error of a run that failed or did not come to its end.
func ended(rep *convert.Report, name string) error {
	if rep.Run != nil && !rep.Complete() {
		return exit(exitFailed, fmt.Errorf("%s: the run did not come to its end", name))
	}
	if err := unmeasured(rep); err != nil || len(rep.Failures) == 0 {
		return exit(exitFailed, err)
	}
	return exit(exitFailed, errors.New("the run failed: "+termtext.Cell(rep.Failures[0].String())))
}

// importCommand turns Capsem JSON into benchmark text.
func (a *app) importCommand() *cobra.Command {
	var out string
	var quiet bool
	cmd := &cobra.Command{
		Use:   "import FILE...|-",
		Short: "Turn Capsem JSON of any known shape into benchmark text",
		Long: `import reads the result files of Capsem: those of its benchmark, of capsem-bench,
of the life of a VM, forks, parallel VMs, load of proxy, MCP and DNS, the protocol
lab, route latency and the database writer, and the runs of a SQLite store
capsem.bench.v1. It writes benchmark text to standard output, which benchstat
reads. What it does not know is left out and listed on standard error.`,
		Example: `  capsem-bench import data_1.5.1.json > old.txt
  capsem-bench import --out history data_*.json
  curl -s https://example.com/bench.json | capsem-bench import - > new.txt`,
		Args: minArgs(1, "at least one file, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.importFiles(cmd.Context(), args, out, quiet) },
	}
	cmd.Flags().StringVar(&out, "out", "", "write one text file per document into `DIR` instead")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "do not list what was left out")
	return cmd
}

func (a *app) importFiles(ctx context.Context, names []string, out string, quiet bool) error {
	in, err := a.open(names)
	if err != nil {
		return exit(exitUsage, err)
	}
	defer in.Close()
	if in, err = in.withStores(ctx); err != nil {
		return exit(exitUsage, err)
	}
	texts := make([]strings.Builder, len(in))
	for i, f := range in { // all of them before the first is written
		notes, err := convert.Import(&texts[i], f, f.name)
		if err != nil {
			return exit(exitUsage, err)
		}
		for _, n := range notes {
			if !quiet {
				fmt.Fprintf(a.stderr, "%s: %s\n", f.name, termtext.Block(n))
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
	return writeTexts(out, in, texts)
}

// writeTexts writes each text into a file called as its source.
func writeTexts(dir string, in inputs, texts []strings.Builder) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return exit(exitUnfit, err)
	}
	seen := make(map[string]string)
	for _, f := range in { // all of them before the first is written
		name := filepath.Join(dir, f.textName())
		if other, ok := seen[name]; ok {
			return exit(exitUnfit, fmt.Errorf("%s and %s would both become %s; import them into different directories", other, f.name, name))
		}
		seen[name] = f.name
		if err := userfile.Replaceable(name, userfile.ImportedText(), in.infos()...); err != nil {
			return usage("--out %s: %w", dir, err)
		}
	}
	for i, f := range in {
		if err := atomicfile.Write(filepath.Join(dir, f.textName()), []byte(texts[i].String())); err != nil {
			return exit(exitUnfit, err)
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
	names, err = filesOf(names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if name == "-" {
			in = append(in, input{"standard input", a.stdin, func() error { return nil }})
			continue
		}
		f, err := userfile.Open(name)
		if err != nil {
			in.Close()
			return nil, err
		}
		in = append(in, input{name, f, f.Close})
	}
	return in, nil
}

// filesOf puts the texts of a run in the place of its directory.
func filesOf(names []string) (out []string, err error) {
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			out = append(out, name)
			continue
		}
		files, err := bootFiles(name)
		if err != nil {
			return nil, err
		}
		out = append(out, files...)
	}
	return out, nil
}

func (in inputs) sources() (out []convert.Source) {
	for _, f := range in {
		out = append(out, convert.Source{Name: f.name, Reader: f.Reader})
	}
	return out
}

// textName is the file that import makes of an input.
func (f input) textName() string {
	return strings.TrimSuffix(filepath.Base(f.name), filepath.Ext(f.name)) + ".txt"
}

// infos are what is read, to be known again under another name.
func (in inputs) infos() (out []os.FileInfo) {
	for _, f := range in {
		if file, ok := f.Reader.(*os.File); ok {
			if info, err := file.Stat(); err == nil {
				out = append(out, info)
			}
		}
	}
	return out
}

// twin is the name of an input with the same bytes, "" without one. Only what can
// be read twice has any.
func (in inputs) twin(f input) (string, error) {
	size := f.size()
	for _, other := range in {
		if size <= 0 || other.size() != size {
			continue
		}
		a, err := digest.File(f.name)
		if err != nil {
			return "", err
		}
		if b, err := digest.File(other.name); err != nil || a == b {
			return other.name, err
		}
	}
	return "", nil
}

// size is that of a regular file, 0 of all else.
func (f input) size() int64 {
	file, ok := f.Reader.(*os.File)
	if !ok || f.name != file.Name() {
		return 0
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
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
