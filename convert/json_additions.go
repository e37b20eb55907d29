package convert

import (
	"fmt"
	"maps"
	"slices"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// additions is the "capsem_bench" object: what Capsem's own keys cannot say.
func (r *Report) additions() fields {
	f := fields{
		{"tool_version", record.ToolVersion},
		{"complete", r.Complete()},
		{"environment", r.environment()},
		{"workload", r.workload()},
		{"ops", r.opStates()},
	}
	missing, warnings := array{}, array{}
	for _, res := range r.Ops {
		if res.Status == record.Missing {
			missing = append(missing, opKey(res))
		}
	}
	for _, w := range r.Warnings {
		warnings = append(warnings, w.String())
	}
	if r.Dropped > 0 {
		warnings = append(warnings, fmt.Sprintf("%d more", r.Dropped))
	}
	if r.End != nil {
		f = append(f, member{"ended", r.End.Status}, member{"elapsed_s", rounded{float64(r.End.ElapsedNS) / 1e9, 3}})
	}
	f = append(f, member{"missing", missing}, member{"warnings", warnings})
	if len(r.Failures) > 0 {
		failures := array{}
		for _, why := range r.Failures {
			failures = append(failures, why.String())
		}
		f = append(f, member{"failures", failures})
	}
	return append(f, r.units()...)
}

// units is what the text says of units that the catalogue does not have, or
// that means something else by them.
func (r *Report) units() fields {
	f := fields{}
	for _, unit := range sortedKeys(r.Declared) {
		if u := catalogue.UnitOf(unit); u.Doc == "" || u.Better != r.Declared[unit] {
			f = append(f, member{unit, string(r.Declared[unit])})
		}
	}
	if len(f) == 0 {
		return nil
	}
	return fields{{"units", f}}
}

// opKey names an operation: by catalogue ID, else by benchmark name.
func opKey(res *Result) string {
	if res.Known {
		return res.Op.ID
	}
	return res.Op.Name
}

func (r *Report) opStates() fields {
	f := fields{}
	for _, res := range r.Ops {
		op := fields{{"name", res.Op.Name}, {"status", string(res.Status)}}
		if res.Pkg != "" {
			op = append(op, member{"pkg", res.Pkg})
		}
		if res.Reason != "" {
			op = append(op, member{"reason", res.Reason})
		}
		op = append(op, member{"rounds", res.Rounds})
		if len(res.Runs) > 1 {
			op = append(op, member{"rounds_by_boot", wholes(res.Runs)})
		}
		if rs := roundsOf(res); len(rs) > 0 {
			op = append(op, member{"duration_s", rs.number(func(r round) float64 { return r.elapsed / 1e9 })})
		}
		op = append(op, cacheState(res.Note)...)
		if all := res.doubts(); len(all) > 0 {
			doubts := array{}
			for _, d := range all {
				doubts = append(doubts, d)
			}
			op = append(op, member{"doubts", doubts})
		}
		op = append(op, errorCounts(res)...)
		if !res.Known {
			op = append(op, samples(res)) // it has no place in the sections
			if len(res.Samples) == 0 && res.Rounds > 0 {
				op = append(op, member{"iterations", res.iterations.array()})
			}
		}
		f = append(f, member{opKey(res), op})
	}
	return f
}

func wholes(list []int) array {
	out := array{}
	for _, n := range list {
		out = append(out, n)
	}
	return out
}

func cacheState(st record.Status) fields {
	if st.Cache == "" {
		return nil
	}
	f := fields{{"cache", st.Cache}}
	if st.Dropped != "" {
		f = append(f, member{"dropped", st.Dropped})
	}
	if st.Host != "" {
		f = append(f, member{"host_cache", st.Host})
	}
	return append(f, member{"resident_pages", st.Resident}, member{"pages", st.Pages})
}

// errorCounts sums the failures by reason over the rounds.
func errorCounts(res *Result) fields {
	sum := make(map[string]int64)
	for _, s := range res.Samples {
		for reason, n := range s.Errors {
			sum[reason] += n
		}
	}
	if len(sum) == 0 {
		return nil
	}
	reasons := make([]string, 0, len(sum))
	for reason := range sum {
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	f := fields{}
	for _, reason := range reasons {
		f = append(f, member{reason, sum[reason]})
	}
	return fields{{"errors", f}}
}

func (r *Report) environment() fields {
	run := r.Run
	if run == nil {
		run = new(record.Run)
	}
	f := fields{{"root", run.Root}}
	for _, m := range []struct{ key, value string }{
		{"sandbox", run.Sandbox},
		{"accel", run.Accel},
		{"image", run.Image},
		{"source", run.Source},
		{"os", run.OS},
		{"arch", run.Arch},
		{"kernel", run.Kernel},
		{"cpu", run.CPU},
		{"virtualization", run.Virtualization},
	} {
		if m.value != "" {
			f = append(f, member{m.key, m.value})
		}
	}
	if run.CPUs > 0 {
		f = append(f, member{"cpus", run.CPUs})
	}
	if run.MemoryBytes > 0 {
		f = append(f, member{"memory_bytes", run.MemoryBytes})
	}
	if run.Seed > 0 {
		f = append(f, member{"seed", fmt.Sprint(run.Seed)}) // beyond what JSON numbers hold exactly
	}
	if run.Go != "" || run.Commit != "" {
		f = append(f, member{"build", buildOf(run)})
	}
	fs := fields{}
	for _, path := range sortedKeys(run.Filesystems) {
		fs = append(fs, member{path, run.Filesystems[path]})
	}
	f = append(f, member{"filesystems", fs})
	labels := fields{}
	for _, key := range sortedKeys(run.Labels) {
		labels = append(labels, member{key, run.Labels[key]})
	}
	if len(labels) > 0 {
		f = append(f, member{"labels", labels})
	}
	return f
}

// buildOf is which capsem-bench measured; texts of before 2026-12 do not say it.
func buildOf(run *record.Run) fields {
	f := fields{{"version", run.Version}}
	if run.Commit != "" {
		f = append(f, member{"commit", run.Commit}, member{"dirty", run.Dirty})
	}
	for _, m := range []struct{ key, value string }{{"date", run.Date}, {"go", run.Go}} {
		if m.value != "" {
			f = append(f, member{m.key, m.value})
		}
	}
	return f
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
