package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// maxImport bounds a JSON document. Capsem's largest are below 100 kB.
const maxImport = 64 << 20

// jsonSchema is the version that every known shape of the JSON carries.
const jsonSchema = "0.3.0"

// Import turns one Capsem JSON document into benchmark text: what Read and
// benchstat read, with the exact values in samples lines.
//
// All kinds of result files under Capsem's benchmarks directory are known: those
// of its benchmark in every shape of schema version 0.3.0 (with the host's arch
// and time, the artifact wrapper, skipped and failed sections, storage, the
// local lab's protocol scenarios), lifecycle, fork, parallel, the load modes,
// route latency, the database writer, a run of the store capsem.bench.v1 (as
// package benchstore writes it), and the documents of capsem-bench itself.
//
// The decision behind it: a figure keeps the name of a catalogue operation only
// when it measured that operation's workload. A request to another URL, a
// request count without a known concurrency, a scenario of the protocol lab get
// names of their own, so that no tool compares them by accident. What makes a
// figure doubtful (a sparse file, an unchecked exit status) is a doubt in its
// status line; a failed operation has no result line.
//
// The config lines are goos, goarch and pkg, as testing prints them in the
// guest. Documents do not say which CPU the guest had, nor how many: to
// pair an import with a fresh run, use benchstat -ignore cpu,/gomaxprocs.
//
// Errors name the place as file:line and the key as a path
// ("disk.seq_write.foo"). A known key with a value that it cannot have is an
// error; a key that is not known is left out and listed in notes, so that a
// reader sees what was not used, and no document is refused because it has
// more. The name is used in messages only. Nothing is written to dst after an
// error.
func Import(dst io.Writer, src io.Reader, name string) (notes []string, err error) {
	if src, err = Decode(src, name); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(src, maxImport+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(data) > maxImport {
		return nil, fmt.Errorf("%s: document is larger than %d MiB", name, maxImport>>20)
	}
	root, err := parseDocument(data, name)
	if err != nil {
		return nil, err
	}
	im := &importer{
		doc: root.doc, cats: make(map[catalogue.Category]*record.Category), byName: make(map[string]*importedOp),
	}
	im.document(root)
	if im.doc.err != nil {
		return nil, im.doc.err
	}
	var buf bytes.Buffer
	if err := im.writeText(&buf); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if _, err := buf.WriteTo(dst); err != nil {
		return nil, fmt.Errorf("writing benchmark text of %s: %w", name, err)
	}
	if im.doc.dropped > 0 {
		im.doc.left = append(im.doc.left, fmt.Sprintf("%d more unknown keys", im.doc.dropped))
	}
	return append(im.notes, im.doc.left...), nil
}

// An importer holds what was understood of a document so far.
type importer struct {
	doc    *document
	run    record.Run
	end    *record.End // nil: the document says that it is incomplete
	goarch string
	cats   map[catalogue.Category]*record.Category
	ops    []*importedOp
	byName map[string]*importedOp
	absent []string // expected operations the document has no trace of
	notes  []string
	own    ownResults
	// routeOp is the operation that the route's gates are of.
	routeOp *importedOp
}

// An importedOp is one operation of the document with its one status line.
type importedOp struct {
	category   catalogue.Category
	pkg        string // of a benchmark that is not ours
	name       string
	samples    []record.Samples
	iterations []int64  // by round, of an operation without samples lines
	units      []string // in the order of the document, where it has one
	status     record.Status
}

// note remembers a remark for the user.
func (im *importer) note(format string, args ...any) {
	im.notes = append(im.notes, fmt.Sprintf(format, args...))
}

// document reads the top level.
func (im *importer) document(o object) {
	if v := o.optStr("version"); v != jsonSchema && im.sections(o) {
		im.note("version %q is not known; read as %s", v, jsonSchema)
	}
	im.header(o)
	im.ownAdditions(o)
	im.setArch()
	im.section(o, catalogue.Disk, im.disk)
	im.section(o, catalogue.Rootfs, im.rootfs)
	im.section(o, catalogue.Startup, im.startup)
	im.section(o, catalogue.HTTP, im.http)
	im.kind(o, "mock_server_protocol", im.protocol)
	im.section(o, catalogue.Throughput, im.throughput)
	im.section(o, catalogue.Snapshot, im.snapshot)
	for _, c := range catalogue.Categories() {
		if !c.Prescribed() && o.has(string(c)) && im.own.present {
			im.generic(o.object(string(c)), c)
		}
	}
	im.others(o)
	o.done()
	im.finish()
}

// sections reports whether the document has a section of Capsem's benchmark,
// whose version is that of its schema.
func (im *importer) sections(o object) bool {
	for _, c := range catalogue.Categories() {
		if c.Prescribed() && o.has(string(c)) {
			return true
		}
	}
	return false
}

// header reads what says when, where and by what the document was made.
func (im *importer) header(o object) {
	im.run = record.Run{
		Type: record.TypeRun, Schema: record.Schema, Version: record.ToolVersion, Source: "capsem json " + jsonSchema,
		Time: o.optFloat("timestamp"), Hostname: o.optStr("hostname"), OS: "linux", Rounds: 1,
	}
	im.run.Arch = o.optStr("arch")
	im.end = &record.End{Type: record.TypeEnd, Time: im.run.Time, Status: "ok"}
	for _, key := range []string{"recorded_at", "host_recorded_at"} {
		if !o.has(key) {
			continue
		}
		if at := o.float(key); at > im.end.Time {
			im.end.Time = at
			im.end.ElapsedNS = int64((at - im.run.Time) * 1e9)
		}
	}
	if schema := o.optStr("schema"); schema != "" && schema != "capsem.benchmark-artifact.v1" {
		im.note("artifact schema %q is not known", schema)
	}
	for _, key := range []string{
		"recorded_at_utc", "project_version", "command", "host", "git", "mock_server_base_url",
		"debug_upstream_base_url", "run_context", "corp_rule_file", "runs", "launch_span_contract", "benchmark",
	} {
		o.get(key) // facts about the host and the checkout, not about the guest
	}
}

// setArch says which goarch testing printed in the guest.
func (im *importer) setArch() {
	switch im.run.Arch {
	case "arm64", "aarch64":
		im.goarch = "arm64"
	case "x86_64", "amd64":
		im.goarch = "amd64"
	default:
		im.note("no known arch: the text has no goarch line; benchstat -ignore goarch pairs it with one that has")
	}
}

// section reads one category with f, unless the document has instead an
// object that says why there is nothing.
func (im *importer) section(top object, c catalogue.Category, f func(object)) {
	if !top.has(string(c)) {
		return
	}
	o := top.object(string(c))
	if st, reason, ok := o.outcome(); ok {
		for _, op := range catalogue.Select(catalogue.Ops(catalogue.Settings{}), c) {
			im.add(c, op.Name, record.Samples{}, record.Status{Status: st, Reason: reason})
		}
		im.cats[c] = &record.Category{Type: record.TypeCategory, Category: string(c)}
		o.done()
		return
	}
	f(o)
	o.done()
}

// add takes one operation. A zero Samples means that nothing was measured.
func (im *importer) add(c catalogue.Category, name string, s record.Samples, st record.Status) {
	im.addOp(c, name, s, st)
}

// addOp is add; it returns the operation, nil after an error.
func (im *importer) addOp(c catalogue.Category, name string, s record.Samples, st record.Status) *importedOp {
	if im.doc.err != nil {
		return nil
	}
	if im.byName[name] != nil {
		im.doc.fail(nil, name, "appears twice in the document")
		return nil
	}
	if !possibleSamples(&s) {
		im.doc.fail(nil, name, "number out of range")
		return nil
	}
	if st.Status == "" {
		st.Status = record.OK
	}
	st.Type, st.Op = record.TypeStatus, name
	if st.Status != record.OK {
		// The times stay in the samples line; as metrics they would pass for
		// figures of the operation.
		maps.DeleteFunc(s.Metrics, func(unit string, _ float64) bool { return unit != "errors" })
	}
	op := &importedOp{category: c, name: name, status: st}
	if s.Type != "" {
		s.Op, s.Round = name, 1
		op.samples = []record.Samples{s}
	}
	im.ops = append(im.ops, op)
	im.byName[name] = op
	return op
}

// finish settles what depends on the whole document.
func (im *importer) finish() {
	im.applyOwn()
	for _, op := range im.ops {
		if op.pkg == "" {
			im.run.Expected = append(im.run.Expected, op.name)
		}
		if st := op.status.Status; st != record.OK && st != record.Skipped && !im.own.present {
			im.end.Status = "failed"
		}
	}
	im.run.Expected = append(im.run.Expected, im.absent...)
	if len(im.ops) == 0 && im.doc.err == nil {
		im.doc.err = fmt.Errorf("%s: %w", im.doc.name, errNoCategory)
	}
}

var errNoCategory = errors.New("the document has none of the sections " + categoryList() + ", and is no other result file of Capsem")

func categoryList() string {
	var names []string
	for _, c := range catalogue.Categories() {
		names = append(names, string(c))
	}
	return strings.Join(names, ", ")
}
