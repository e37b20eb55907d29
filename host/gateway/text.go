package gateway

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/capsem/capsem-bench/host/internal/snapshot"
	"github.com/capsem/capsem-bench/internal/contract"
)

// age says how long ago something was.
func age(now, then time.Time) string {
	switch d := now.Sub(then); {
	case d < time.Minute:
		return "just now"
	case d < 2*time.Minute:
		return "1 min ago"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	default:
		return fmt.Sprintf("%d hr ago", d/time.Hour)
	}
}

// How much of a text is returned if the call does not say.
const (
	defaultPage = 5000 // bytes
	whole       = math.MaxInt
)

// page returns the part of a text that the arguments ask for, under a header
// if that is not all of it. No character is cut in two.
func page(text string, a args, unset int) string {
	from, to := min(index(a, "start_index", 0), len(text)), len(text)
	if n := index(a, "max_length", unset); n < to-from {
		to = from + n
	}
	from, to = boundary(text, from), boundary(text, to)
	if to == from && to < len(text) { // at least one character, or the caller would never get on
		_, n := utf8.DecodeRuneInString(text[from:])
		to += n
	}
	if from == 0 && to == len(text) {
		return text
	}
	return contract.Page{Total: int64(len(text)), From: int64(from), To: int64(to)}.Header() + text[from:to]
}

// index returns an argument that is a whole number, at least 0.
func index(a args, key string, unset int) int {
	f, ok := a[key].(float64)
	if !ok || f < 0 || f != math.Trunc(f) {
		return unset
	}
	return int(min(f, 1<<52))
}

// boundary moves back to the beginning of a character.
func boundary(s string, i int) int {
	for i > 0 && i < len(s) && !utf8.RuneStart(s[i]) {
		i--
	}
	return i
}

// listTable is the text of snapshots_list.
func listTable(l snapshot.Listing, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Snapshots (%d total, %d manual slots available)\n\n", len(l.Snapshots), l.Available)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "Checkpoint\tOrigin\tName\tAge\tHash\tFiles\tChanges")
	for _, sn := range l.Snapshots {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", snapshot.ID(sn.Slot), sn.Origin, dash(sn.Name), age(now, sn.Time),
			dash(sn.Hash[:min(12, len(sn.Hash))]), sn.Files, summary(sn.Changes))
	}
	_ = w.Flush() // a strings.Builder takes everything
	for _, sn := range l.Snapshots {
		if sn.LeftOut != nil {
			first := sn.LeftOut.First[0]
			fmt.Fprintf(&b, "\n%s lacks %d files or directories, the first is %s: %s\n", snapshot.ID(sn.Slot), sn.LeftOut.Count,
				contract.VisiblePath(first.Path), first.Reason)
		}
	}
	return b.String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// summary counts changes: "+1, ~2, -3" are new, modified and deleted files.
func summary(changes []snapshot.Change) string {
	count := make(map[snapshot.Op]int)
	for _, c := range changes {
		count[c.Op]++
	}
	var parts []string
	for _, kind := range []struct {
		sign string
		op   snapshot.Op
	}{{"+", snapshot.New}, {"~", snapshot.Modified}, {"-", snapshot.Deleted}} {
		if n := count[kind.op]; n > 0 {
			parts = append(parts, kind.sign+strconv.Itoa(n))
		}
	}
	if parts == nil {
		return "(none)"
	}
	return strings.Join(parts, ", ")
}

// changesTable is the text of snapshots_changes.
func changesTable(rows []snapshot.Difference) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Changed Files (%d total)\n\n", len(rows))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "Path\tOp\tSize\tCheckpoint")
	for _, d := range rows {
		size := "-"
		if d.Op != snapshot.Deleted {
			size = strconv.FormatInt(d.Size, 10)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", contract.VisiblePath(d.Path), d.Op, size, snapshot.ID(d.Snapshot.Slot))
	}
	_ = w.Flush()
	return b.String()
}
