package convert

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/record"
)

// runNotes returns what concerns every figure of the run.
func (t *tables) runNotes() []string {
	var out []string
	if run := t.rep.Run; run != nil {
		switch {
		case run.Sandbox == "local":
			out = append(out, "no VM (sandbox local)")
		case run.Sandbox == "" && run.Virtualization == "none":
			out = append(out, "no VM (bare machine)")
		}
		if run.Accel == "tcg" {
			out = append(out, "TCG (emulated CPU)")
		}
		if run.Source != "" {
			out = append(out, "imported from "+run.Source)
		}
	}
	switch end := t.rep.End; {
	case end == nil:
		out = append(out, "incomplete (the run has no end line)")
	case end.Status == "interrupted":
		out = append(out, withReason("interrupted", end.Reason))
	case end.Status == "timeout":
		out = append(out, withReason("ended by the watchdog", end.Reason))
	}
	if t.rounds > 1 {
		return append(out, fmt.Sprintf("medians of %d rounds, ± half the range", t.rounds))
	}
	return append(out, "one sample")
}

func withReason(s, reason string) string {
	if reason == "" {
		return s
	}
	return s + " (" + reason + ")"
}

// notes returns what belongs beside the figures of one operation.
func (t *tables) notes(res *Result) []string {
	var out []string
	failures := failedOf(res)
	switch res.Status {
	case record.OK:
	case record.Missing:
		out = append(out, "missing: "+cmp.Or(res.Reason, "expected, but not seen"))
	default:
		reason := cmp.Or(res.Reason, "no reason given")
		if failures.count != "" && strings.Contains(reason, failures.count) {
			if failures.reasons != "" {
				reason += ": " + failures.reasons
			}
			failures.count = ""
		}
		out = append(out, string(res.Status)+": "+reason)
	}
	if failures.count != "" {
		out = append(out, failures.String())
	}
	if !measurable(res) {
		return append(out, res.doubts()...)
	}
	if s := cacheNote(res); s != "" {
		out = append(out, s)
	}
	if t.rounds > 1 && res.Rounds < t.rounds {
		out = append(out, fmt.Sprintf("only %d of %d rounds", res.Rounds, t.rounds))
	}
	return append(out, res.doubts()...)
}

// Shares of the pages of a file that may stay in the cache: up to coldShare
// they always do, above warmShare the cache is called warm (as in package
// coldcache of the guest).
const (
	coldShare = 0.01
	warmShare = 0.10
)

// cacheNote says how cold a cold read was, unless it was proven cold by the
// means that reach everything.
func cacheNote(res *Result) string {
	n := res.Note
	if !res.Op.Cold && n.Cache != record.CacheUnverified {
		return ""
	}
	share := 0.0
	if n.Pages > 0 {
		share = float64(n.Resident) / float64(n.Pages)
	}
	switch {
	case share > warmShare:
		return fmt.Sprintf("cache was warm (%s%% of the pages resident, %d of %d)", number(100*share, 0), n.Resident, n.Pages)
	case share > coldShare: // version 0.1.0 of the guest called this warm
		return fmt.Sprintf("%s%% of the pages were still cached (%d of %d)", number(100*share, 1), n.Resident, n.Pages)
	case n.Cache == record.CacheWarm:
		return "cache was warm"
	case n.Cache == record.CacheCold && n.Dropped == "fadvise":
		return "cache dropped per file only (fadvise)"
	case n.Cache == record.CacheCold:
		return ""
	case n.Dropped == "fadvise":
		return "cache dropped per file only (fadvise), unverified"
	}
	return "cold cache unverified"
}

// failures counts the operations that failed inside the rounds of a result.
type failures struct {
	count   string // "3 of 50"
	reasons string // "2 status 500, 1 timeout"
}

func (f failures) String() string {
	if f.reasons == "" {
		return f.count + " failed"
	}
	return f.count + " failed: " + f.reasons
}

func failedOf(res *Result) failures {
	var failed, total int64
	reasons := make(map[string]int64)
	for _, s := range res.Samples {
		failed += s.Failed
		total += s.Failed + s.Count
		for reason, n := range s.Errors {
			reasons[reason] += n
		}
	}
	if failed == 0 || total == 1 {
		return failures{}
	}
	keys := slices.SortedFunc(maps.Keys(reasons), func(a, b string) int {
		return cmp.Or(cmp.Compare(reasons[b], reasons[a]), cmp.Compare(a, b))
	})
	const most = 5
	var parts []string
	for i, key := range keys {
		if i == most {
			parts = append(parts, fmt.Sprintf("%d other reasons", len(keys)-most))
			break
		}
		parts = append(parts, fmt.Sprintf("%d %s", reasons[key], key))
	}
	return failures{fmt.Sprintf("%d of %d", failed, total), strings.Join(parts, ", ")}
}
