package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/capsem/capsem-bench/internal/termtext"
)

// renderJSON indents an answer and leaves the order of its keys to the
// gateway. A sentence, such as the one that there is no checkpoint yet, becomes
// a JSON string as in Capsem: a reader of JSON can tell it from a list.
func renderJSON(text string) (string, error) {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text), "", "  "); err == nil {
		b.WriteByte('\n')
		return b.String(), nil
	}
	// Only what looks like JSON and is none is damage rather than a sentence.
	if t := strings.TrimSpace(text); t == "" || t[0] == '{' || t[0] == '[' {
		return "", fmt.Errorf("the gateway's answer of %d bytes is not valid JSON", len(text))
	}
	b.Reset()
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil {
		return "", err
	}
	return b.String(), nil
}

// reply is the union of what the tools answer as objects.
type reply struct {
	Action     string   `json:"action"`
	Available  int      `json:"available"`
	Checkpoint string   `json:"checkpoint"`
	Deleted    []string `json:"deleted_checkpoints"`
	Files      int      `json:"files_count"`
	Hash       string   `json:"hash"`
	Name       string   `json:"name"`
	Path       string   `json:"path"`
	Size       *int64   `json:"current_size"`
	Versions   []struct {
		Age        string `json:"age"`
		Checkpoint string `json:"checkpoint"`
		Name       string `json:"name"`
		Origin     string `json:"origin"`
		Size       *int64 `json:"size"`
		Status     string `json:"status"`
	} `json:"versions"`
}

// renderText makes an answer readable. List and changes come as tables from
// the gateway; what cannot be decoded is shown as it is. Names in it come from
// the workspace, so control characters are escaped.
func renderText(call toolCall, text string) string {
	var r reply
	if call.verb == "list" || call.verb == "changes" || json.Unmarshal([]byte(text), &r) != nil {
		return termtext.Block(strings.TrimRight(text, "\n")) + "\n"
	}
	switch call.verb {
	case "create":
		text = fmt.Sprintf("Created %s (%s), hash %.12s, %d manual slots available", r.Checkpoint, termtext.Cell(r.Name), r.Hash, r.Available)
	case "revert":
		text = fmt.Sprintf("Reverted %s from %s", termtext.Cell(r.Path), r.Checkpoint)
		if r.Action == "deleted" {
			text = fmt.Sprintf("Deleted %s, which %s does not have", termtext.Cell(r.Path), r.Checkpoint)
		}
	case "delete":
		text = "Deleted " + r.Checkpoint
	case "compact":
		text = fmt.Sprintf("Compacted %s into %s (%s), hash %.12s, %d files",
			strings.Join(r.Deleted, ", "), r.Checkpoint, termtext.Cell(r.Name), r.Hash, r.Files)
	case "history":
		text = historyTable(&r)
	}
	return termtext.Block(text) + "\n"
}

// historyTable lists the versions of a file, newest first.
func historyTable(r *reply) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s now\n", termtext.Cell(r.Path), size(r.Size))
	if len(r.Versions) == 0 {
		b.WriteString("No snapshot has it.")
		return b.String()
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "Checkpoint\tOrigin\tName\tAge\tSize\tStatus")
	for _, v := range r.Versions {
		fmt.Fprintln(w, strings.Join([]string{
			termtext.Cell(v.Checkpoint), termtext.Cell(v.Origin), nameCell(v.Name), termtext.Cell(v.Age), size(v.Size), termtext.Cell(v.Status),
		}, "\t"))
	}
	_ = w.Flush() // a strings.Builder takes everything
	return strings.TrimRight(b.String(), "\n")
}

func size(n *int64) string {
	if n == nil {
		return "absent"
	}
	return strconv.FormatInt(*n, 10) + " B"
}

// nameCell is a name in a table, never empty.
func nameCell(s string) string { return cmp.Or(termtext.Cell(s), "-") }
