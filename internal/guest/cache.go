package guest

import "github.com/capsem/capsem-bench/internal/record"

// The values of record.Status.Dropped.
const (
	droppedAll   = "drop_caches"
	droppedFiles = "fadvise"
)

// DropProgram is Drop for what the start of a program reads. Of a wrapper
// only part of that is known, so without root its cache is unverified.
func DropProgram(p Program) record.Status {
	st := Drop(p.Files)
	if p.Wrapper && st.Cache == record.CacheCold && st.Dropped != droppedAll {
		st.Cache = record.CacheUnverified
	}
	return st
}
