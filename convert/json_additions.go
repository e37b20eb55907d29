package convert

import (
	"fmt"
	"slices"

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
	return append(f, member{"missing", missing}, member{"warnings", warnings})
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
		if res.Reason != "" {
			op = append(op, member{"reason", res.Reason})
		}
		op = append(op, member{"rounds", res.Rounds})
		if rs := roundsOf(res); len(rs) > 0 {
			op = append(op, member{"duration_s", rounded{rs.number(func(r round) float64 { return r.elapsed / 1e9 }), 6}})
		}
		op = append(op, cacheState(res.Note)...)
		if len(res.Note.Doubts) > 0 {
			doubts := array{}
			for _, d := range res.Note.Doubts {
				doubts = append(doubts, d)
			}
			op = append(op, member{"doubts", doubts})
		}
		op = append(op, errorCounts(res)...)
		if !res.Known {
			op = append(op, samples(res)) // it has no place in the sections
		}
		f = append(f, member{opKey(res), op})
	}
	return f
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
	fs := fields{}
	for _, path := range sortedKeys(run.Filesystems) {
		fs = append(fs, member{path, run.Filesystems[path]})
	}
	return append(f, member{"filesystems", fs})
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
