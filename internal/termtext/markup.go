package termtext

import "strings"

// Markdown returns s so that it is no markup of GitHub's Markdown: no emphasis,
// link, bare address, mention, reference, formula, table cell or HTML. The bars
// of a table are for the writer of the table.
func Markdown(s string) string { return markdown.Replace(s) }

// An entity is shown as its character and is never taken for markup, which a
// backslash does not prevent for addresses and formulas.
var markdown = strings.NewReplacer(
	"&", "&amp;", "<", "&lt;", ">", "&gt;", "\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]", "#", "\\#", "!", "\\!",
	"~", "\\~", "$", "&#36;", "@", "@\u200b", "://", "&#58;//", "www.", "www&#46;", "WWW.", "WWW&#46;", "mailto:", "mailto&#58;", "xmpp:", "xmpp&#58;",
)

// Spreadsheet returns s so that a spreadsheet takes it for text and not for a
// formula, and the log of a workflow takes no row for a command: with an
// apostrophe before what could begin one.
func Spreadsheet(s string) string {
	t := strings.TrimLeft(s, " \u00a0\ufeff\u200b")
	if t != "" && strings.ContainsAny(t[:1], "=+-@\t\r\n|%:") || strings.HasPrefix(t, "##") || strings.HasPrefix(t, "＝") || strings.HasPrefix(t, "＋") || strings.HasPrefix(t, "－") || strings.HasPrefix(t, "＠") {
		return "'" + s
	}
	return s
}

// Inert returns lines so that the log of a workflow takes none for a command:
// the runners of GitHub and Azure read "::name ::" at the start of a line,
// blanks left aside, and "##[name]" and "##vso[name]" anywhere.
func Inert(lines string) string {
	if !strings.Contains(lines, "::") && !strings.Contains(lines, "##[") && !strings.Contains(lines, "##vso[") {
		return lines
	}
	lines = strings.NewReplacer("##[", "#\u200b#[", "##vso[", "#\u200b#vso[").Replace(lines)
	var b strings.Builder
	for line := range strings.Lines(lines) {
		body := strings.TrimLeft(line, " \t")
		indent := line[:len(line)-len(body)]
		if rest, ok := strings.CutPrefix(body, "::"); ok {
			body = ":\u200b:" + rest
		}
		b.WriteString(indent + body)
	}
	return b.String()
}
