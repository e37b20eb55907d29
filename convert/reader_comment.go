package convert

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// comment takes one of our comment lines.
func (p *reader) comment(line []byte) error {
	v, err := record.Parse(line)
	if err != nil {
		p.warn("%s", clean([]byte(err.Error()), 200))
		return nil
	}
	if !p.head.takes(v) {
		if p.head.marked {
			p.warn("a %s line that the guest printed means nothing", hostType(v))
		}
		return nil
	}
	if _, begins := v.(*record.Run); p.copied && !begins {
		return nil
	}
	switch v := v.(type) {
	case *record.Boot:
		if p.rep.Run == nil && p.rep.Boot == nil {
			v.Side = clean([]byte(v.Side), 20)
			p.rep.Boot = v
		}
	case *record.Machine:
		if p.rep.Run == nil && len(p.rep.Machine) < 2 {
			v.Unfit, v.Doubts = cleanAll(v.Unfit), cleanAll(v.Doubts)
			p.rep.Machine = append(p.rep.Machine, v)
		}
	case *record.Clock:
		v.Readings = v.Readings[:min(len(v.Readings), 2)]
		v.Stages = cleanStages(v.Stages)
		p.rep.Clock = cmp.Or(p.rep.Clock, v)
		p.clocks.add(p.file, v)
	case *record.Run:
		p.run(v)
	case *record.Category:
		p.category(v)
	case *record.Samples:
		return p.samples(v)
	case *record.Status:
		return p.status(v)
	case *record.End:
		v.Status, v.Reason = clean([]byte(v.Status), 40), clean([]byte(v.Reason), maxReason)
		p.end(v)
	}
	return nil
}

// cleanStages bounds the steps of a boot.
func cleanStages(stages []record.BootStage) []record.BootStage {
	const most = 32
	stages = stages[:min(len(stages), most)]
	for i := range stages {
		stages[i] = record.BootStage{Name: clean([]byte(stages[i].Name), 64), TookNS: bounded(stages[i].TookNS)}
	}
	return stages
}

// end takes an end line. Of several runs the first that did not come to its
// end is the end of them all.
func (p *reader) end(v *record.End) {
	p.pkg.over = true
	if p.rep.End != nil {
		return // a second one of the same run
	}
	p.elapsed = bounded(p.elapsed + bounded(v.ElapsedNS))
	v.ElapsedNS = p.elapsed
	p.rep.End = v
	if p.early == nil && !p.rep.Complete() {
		p.early = v
	}
}

// begin takes it that a run has begun, whose results may follow.
func (p *reader) begin() { p.pkg.over = false }

// maxReason bounds a reason; the guest sends at most 500 bytes.
const maxReason = 600

func (p *reader) run(v *record.Run) {
	for _, s := range []*string{
		&v.Schema, &v.Version, &v.Hostname, &v.OS, &v.Arch, &v.Kernel, &v.CPU,
		&v.Virtualization, &v.Sandbox, &v.Accel, &v.Image, &v.Source,
	} {
		*s = clean([]byte(*s), 200)
	}
	if v.Schema != record.Schema {
		p.warn("text schema %q, this reader knows %q", v.Schema, record.Schema)
	}
	if !possible(v.Time) {
		v.Time = 0
	}
	if p.again(v) {
		return
	}
	for _, name := range v.Expected {
		if len(p.expected) < maxOps && showable([]byte(name)) && !p.expects[name] {
			p.expected, p.expects[name] = append(p.expected, name), true
		}
	}
	if p.rep.Run == nil {
		p.rep.Run = v
	} else if p.rep.End == nil {
		p.torn = true
		p.warn("the run before this one has no end line: it is incomplete")
	}
	p.rep.End = nil // a run that has begun has yet to end
	p.begin()
}

// again reports whether a run is in the text already, as in one that was
// appended to itself: its rounds count once. Documents of Capsem's have no time
// that tells them apart.
func (p *reader) again(v *record.Run) bool {
	id := runID{v.Time, v.Seed, v.Hostname}
	if p.copied = p.runs[id]; p.copied {
		p.warn("this run is there already, and counts once")
	}
	if v.Time > 0 && v.Source == "" {
		p.runs[id] = true
	}
	return p.copied
}

func (p *reader) category(v *record.Category) {
	c := catalogue.Category(v.Category)
	if !slices.Contains(catalogue.Categories(), c) {
		p.warn("category line of an unknown category %s", quote([]byte(v.Category)))
		return
	}
	for _, s := range []*string{&v.Directory, &v.LargestFile, &v.URL} {
		*s = clean([]byte(*s), 4096)
	}
	v.SizeMB, v.LargestFileSize, v.FilesFound = max(v.SizeMB, 0), bounded(v.LargestFileSize), bounded(v.FilesFound)
	settings := make(map[string]string)
	for _, key := range sortedKeys(v.Settings) {
		if len(settings) < maxUnits {
			settings[clean([]byte(key), 40)] = clean([]byte(v.Settings[key]), 200)
		}
	}
	v.Settings = settings
	for i := range v.ScanDirs {
		v.ScanDirs[i] = clean([]byte(v.ScanDirs[i]), 4096)
	}
	p.rep.Categories[c] = v
}

// samples keeps the exact values of one round; they replace those of the
// round's result line.
func (p *reader) samples(v *record.Samples) error {
	st, err := p.named(v.Op)
	if err != nil {
		return err
	}
	if !possibleSamples(v) {
		st.wrong = "its samples have a number that cannot be"
		p.warn("samples line of %s with a number that cannot be", quote([]byte(v.Op)))
		return nil
	}
	v.File = clean([]byte(v.File), 4096)
	v.Command = cleanAll(v.Command)
	v.Errors = cleanKeys(v.Errors)
	res := st.res
	if len(res.Samples) < maxSamples {
		res.Samples = append(res.Samples, *v)
	}
	if i := st.block + v.Round - 1; v.Round >= 1 && i < res.Rounds && i < maxValues {
		for unit, x := range v.Metrics {
			if s := res.Values[unit]; s != nil && i < len(s.values) && s.N <= maxValues {
				s.values[i] = x
				s.exact++
			}
		}
	}
	return nil
}

func (p *reader) status(v *record.Status) error {
	st, err := p.named(v.Op)
	if err != nil {
		return err
	}
	if !slices.Contains([]record.State{record.OK, record.Skipped, record.Failed, record.Invalid}, v.Status) {
		p.warn("status line of %s with an unknown status %s", quote([]byte(v.Op)), quote([]byte(v.Status)))
		return nil
	}
	v.Reason, v.Cache, v.Dropped = clean([]byte(v.Reason), maxReason), clean([]byte(v.Cache), 20), clean([]byte(v.Dropped), 20)
	v.Host, v.Doubts, v.Command = clean([]byte(v.Host), 20), cleanAll(v.Doubts), cleanAll(v.Command)
	v.Resident, v.Pages = bounded(v.Resident), bounded(v.Pages)
	if severity(v.Status) >= severity(st.status) {
		st.status = v.Status
		if v.Reason != "" {
			st.res.Reason = v.Reason
		}
	}
	st.res.Note = *v
	st.res.Runs = append(st.res.Runs, boots(v.RoundsByBoot, st.res.Rounds-st.block)...)
	if len(st.res.Runs) > maxValues {
		st.res.Runs = st.res.Runs[:maxValues]
	}
	st.block = st.res.Rounds
	return nil
}

// boots are the rounds of each boot in a run of n rounds: those that an import
// has noted, where they are as many, else all of one boot.
func boots(noted []int, n int) []int {
	sum := 0
	for _, r := range noted {
		if r < 1 || r > n {
			sum = -1
			break
		}
		sum += r
	}
	switch {
	case n <= 0:
		return nil
	case sum == n:
		return noted
	}
	return []int{n}
}

func severity(s record.State) int {
	return slices.Index([]record.State{"", record.Skipped, record.OK, record.Invalid, record.Failed}, s)
}

func cleanAll(list []string) []string {
	list = list[:min(len(list), 20)]
	for i := range list {
		list[i] = clean([]byte(list[i]), maxReason)
	}
	return list
}

func cleanKeys(m map[string]int64) map[string]int64 {
	out := make(map[string]int64, len(m))
	for k, v := range m {
		if len(out) < 50 {
			k = clean([]byte(k), 200)
			out[k] = bounded(out[k] + bounded(v))
		}
	}
	return out
}

// finish settles how every operation ended and puts them in order.
func (p *reader) finish() *Report {
	p.file, p.line = p.rep.Name, 0
	for _, name := range p.expected {
		if !p.seen(name) {
			st := &state{res: newResult(name), full: name}
			p.order = append(p.order, st)
		}
	}
	p.identify()
	p.unseen()
	parents := p.parents()
	for _, st := range p.order {
		if parents[st] {
			continue
		}
		settle(st)
		if doubt := warmDoubt(st.res); doubt != "" {
			st.res.Note.Doubts = append(st.res.Note.Doubts, doubt)
		}
		if doubt := p.clocks.doubt(); doubt != "" && measurable(st.res) {
			st.res.Note.Doubts = append(st.res.Note.Doubts, doubt)
		}
		p.rep.Ops = append(p.rep.Ops, st.res)
	}
	slices.SortStableFunc(p.rep.Ops, func(a, b *Result) int { return place(a) - place(b) })
	if p.early != nil {
		p.rep.End = p.early
	}
	switch rep := p.rep; {
	case rep.Run == nil:
	case p.torn:
		rep.End = nil
	case rep.End == nil:
		p.warn("no end line: the run is incomplete")
	case !rep.Complete():
		p.warn(endedEarly+"%s %s", rep.End.Status, rep.End.Reason)
	}
	return p.rep
}

// endedEarly begins the warning of a run that ended before its end.
const endedEarly = "the run is incomplete: "

// parents finds the benchmarks that are known only because testing reports
// them failed or skipped together with what they are made of:
// "--- FAIL: BenchmarkDisk" after "--- FAIL: BenchmarkDisk/op=seq_read".
func (p *reader) parents() map[*state]bool {
	out := make(map[*state]bool)
	for _, pkg := range p.packages {
		for name := range pkg.byName {
			for i := len(name) - 1; i > 0; i-- {
				if name[i] != '/' {
					continue
				}
				st, ok := pkg.byName[name[:i]]
				if ok && st.status == "" && st.res.Rounds == 0 && len(st.res.Samples) == 0 {
					out[st] = true
				}
			}
		}
	}
	return out
}

// place is where an operation stands in a report: those that the catalogue
// does not have come last.
func place(r *Result) int {
	if !r.Known {
		return math.MaxInt32
	}
	return catalogue.Place(r.Op.ID)
}

// seen reports whether any operation, of whatever package and processors, has
// the name.
func (p *reader) seen(name string) bool {
	for _, pkg := range p.packages {
		if pkg.byName[name] != nil || pkg.byFull[name] != nil {
			return true
		}
	}
	return false
}

// unseen adds what a text without a run line should have: the catalogue's
// other operations of every category seen. A command of the user's says nothing
// of the others: a list of commands replaces the catalogue's.
func (p *reader) unseen() {
	if p.rep.Run != nil {
		return
	}
	seen := make(map[string]bool)
	categories := make(map[catalogue.Category]bool)
	for _, st := range p.order {
		if op, ok := p.catalogued(st); ok {
			seen[op.ID] = true
			categories[op.Category] = categories[op.Category] || catalogue.ByDefault(op.ID)
		}
	}
	for _, op := range catalogue.Ops(catalogue.Settings{}) {
		if categories[op.Category] && !seen[op.ID] {
			res := newResult(op.Name)
			res.Op, res.Known = op, true
			p.order = append(p.order, &state{res: res, full: op.Name})
		}
	}
}

// settle decides the state of one operation.
func settle(st *state) {
	res := st.res
	measured := res.Rounds > 0 || slices.ContainsFunc(res.Samples, func(s record.Samples) bool {
		return hasFigure(s) && (res.Known || s.ElapsedNS > 0) // what no section shows has its time alone
	})
	res.Rounds = max(res.Rounds, len(res.Samples))
	switch {
	case st.failed && st.status != record.Failed && st.status != record.Invalid:
		res.Status = record.Failed
		if res.Reason == "" {
			res.Reason = "the benchmark failed without a reason"
		}
	case st.wrong != "" && st.status != record.Failed && st.status != record.Invalid:
		res.Status, res.Reason = record.Invalid, st.wrong
	case st.status == record.OK && !measured:
		res.Status, res.Reason = record.Invalid, "reported ok without a result"
	case st.status != "":
		res.Status = st.status
	case measured:
		res.Status = record.OK
	case st.skipped:
		res.Status = record.Skipped
	case len(res.Samples) > 0:
		res.Status, res.Reason = record.Invalid, "its samples have no figure"
	default:
		res.Status, res.Reason = record.Missing, "expected, but the run has no result of it"
	}
	if res.Status != record.OK && res.Status != record.Missing && res.Reason == "" {
		res.Reason = fmt.Sprintf("%s without a reason", res.Status)
	}
}
