package termtext

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMarkdown(t *testing.T) {
	for in, want := range map[string]string{
		"plain text 1.5": "plain text 1.5", "a*b_c`d": "a\\*b\\_c\\`d", "<b>&": "&lt;b&gt;&amp;", "[a](b)!": "\\[a\\](b)\\!",
		"~~no~~": "\\~\\~no\\~\\~", "$x^2$": "&#36;x^2&#36;", "@octo": "@\u200bocto", "https://a.org": "https&#58;//a.org", "www.a.org": "www&#46;a.org",
		"#12": "\\#12", `\*`: `\\\*`,
	} {
		assert.Equal(t, want, Markdown(in))
	}
}

func TestSpreadsheet(t *testing.T) {
	for _, in := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "::error ::x", "\u200b=1", "＝1", "|cmd"} {
		assert.Equal(t, "'"+in, Spreadsheet(in))
	}
	for _, in := range []string{"", "a=1", "Disk/op=x", "1-2"} {
		assert.Equal(t, in, Spreadsheet(in))
	}
}

func TestInert(t *testing.T) {
	assert.Equal(t, ":\u200b:error ::x\n  :\u200b:set-env name=A::b\nstd::vec\n#\u200b#[error]x", Inert("::error ::x\n  ::set-env name=A::b\nstd::vec\n##[error]x"))
	assert.Equal(t, "plain\n", Inert("plain\n"))
	assert.Equal(t, "x #\u200b#[add-mask]y #\u200b#vso[x]", Inert("x ##[add-mask]y ##vso[x]"))
}

// What the log of a workflow takes for a command is none after Block, Cell,
// JSON and a Writer, whatever way its text is cut.
func TestCommandsOfWorkflows(t *testing.T) {
	for in, want := range map[string]string{
		"::error::x": `:\x3aerror::x`, "a\n \t::add-mask::x\nb": "a\n     :\\x3aadd-mask::x\nb", "a\r\n::error": "a\n:\\x3aerror", ":::": `:\x3a:`,
		"##[error]x": `##\x5berror]x`, "a ###[group]": `a ###\x5bgroup]`, "##vso[task]": `##\x76so[task]`,
		"std::vec": "std::vec", ": :": ": :", "a ::b": "a ::b", "## heading": "## heading", "#[x]": "#[x]",
	} {
		assert.Equal(t, want, Block(in))
		for cut := range len(in) {
			var out strings.Builder
			w := NewWriter(&out)
			_, _ = w.Write([]byte(in[:cut]))
			_, _ = w.Write([]byte(in[cut:]))
			w.Flush()
			assert.Equal(t, want, out.String(), cut)
		}
	}
	assert.Equal(t, `##\x5berror]`, Cell("##[error]"))
	assert.Equal(t, `{"a":["##\u005berror]","##\u0076so["]}`, string(JSON([]byte(`{"a":["##[error]","##vso["]}`))))
	assert.Equal(t, "'##[error]", Spreadsheet("##[error]"))
}
