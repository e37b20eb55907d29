package compare

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"strings"
)

// SchemaJSON names the layout of WriteJSON.
const SchemaJSON = "capsem-bench.compare/1"

// WriteJSON writes the comparison with every metric, and the decision when
// there is one. Ratios are plain: 0.05 is 5 %. Figures that do not exist are
// left out.
func WriteJSON(w io.Writer, c *Comparison, d *Decision) error {
	doc := jsonDoc{
		Schema: SchemaJSON,
		Old:    jsonSide{c.Old, c.OldBoots}, New: jsonSide{c.New, c.NewBoots},
		Order: string(c.Order.Interleaving), OrderReason: c.Order.Reason,
		Differences: []jsonDifference{}, Doubts: c.Doubts, Notes: c.Notes, Forced: c.Forced,
		Metrics: c.Ops, Method: string(c.Method), Looked: c.Looked, Looks: c.Looks, Open: []string{},
		Findings: []jsonFinding{},
	}
	if c.Power != nil {
		doc.Underpowered = c.Power.Error()
	}
	for _, d := range c.Differences {
		doc.Differences = append(doc.Differences, jsonDifference{d.What, string(d.Weight), d.Text})
	}
	for _, cat := range c.Open() {
		doc.Open = append(doc.Open, string(cat))
	}
	if m := c.Machine; m != nil {
		doc.Machine = &jsonMovement{m.Slower, m.Moved, m.Ops, m.Median, m.String() + ": " + c.blame()}
	}
	for _, f := range c.Findings {
		doc.Findings = append(doc.Findings, jsonOf(f))
	}
	if d != nil {
		doc.Gate = &jsonGate{int(d.Status), d.Answer(), []string{}, d.Reasons, d.Remarks, d.Plan}
		for _, f := range d.Regressions {
			doc.Gate.Regressions = append(doc.Gate.Regressions, f.Key())
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}

type jsonDoc struct {
	Schema       string           `json:"schema"`
	Gate         *jsonGate        `json:"gate,omitempty"`
	Old          jsonSide         `json:"old"`
	New          jsonSide         `json:"new"`
	Order        string           `json:"order"`
	OrderReason  string           `json:"order_reason,omitempty"`
	Differences  []jsonDifference `json:"differences"`
	Doubts       []string         `json:"doubts,omitempty"`
	Notes        []string         `json:"notes,omitempty"`
	Forced       bool             `json:"forced,omitempty"`
	Metrics      int              `json:"metrics_judged"`
	Method       string           `json:"method"`
	Looked       int              `json:"looks_done"`
	Looks        int              `json:"looks_planned"`
	Open         []string         `json:"open_categories"`
	Underpowered string           `json:"underpowered,omitempty"`
	Machine      *jsonMovement    `json:"movement,omitempty"`
	Findings     []jsonFinding    `json:"findings"`
}

type jsonGate struct {
	Status      int      `json:"status"`
	Answer      string   `json:"answer"`
	Regressions []string `json:"regressions"`
	Reasons     []string `json:"reasons,omitempty"`
	Remarks     []string `json:"remarks,omitempty"`
	Plan        []string `json:"plan,omitempty"`
}

type jsonSide struct {
	Name  string `json:"name"`
	Boots int    `json:"boots"`
}

type jsonDifference struct {
	What   string `json:"what"`
	Weight string `json:"weight"`
	Text   string `json:"text"`
}

type jsonMovement struct {
	Slower bool    `json:"slower"`
	Moved  int     `json:"moved"`
	Of     int     `json:"of"`
	Median float64 `json:"median_slowdown"`
	Text   string  `json:"text"`
}

type jsonSample struct {
	Boots   int      `json:"boots"`
	Median  *float64 `json:"median,omitempty"`
	Lo      *float64 `json:"lo,omitempty"`
	Hi      *float64 `json:"hi,omitempty"`
	Bad     int      `json:"bad_boots,omitempty"`
	Skipped int      `json:"skipped_boots,omitempty"`
	Status  string   `json:"status"`
	Reason  string   `json:"reason,omitempty"`
}

type jsonFinding struct {
	Key       string     `json:"key"`
	Category  string     `json:"category"`
	Op        string     `json:"op"`
	Unit      string     `json:"unit"`
	Better    string     `json:"better,omitempty"`
	Primary   bool       `json:"primary"`
	Duplicate bool       `json:"duplicate,omitempty"`
	Verdict   string     `json:"verdict,omitempty"`
	Outcome   string     `json:"outcome,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	Forced    bool       `json:"forced,omitempty"`
	Old       jsonSample `json:"old"`
	New       jsonSample `json:"new"`
	Change    *float64   `json:"change,omitempty"`
	ChangeLo  *float64   `json:"change_lo,omitempty"`
	ChangeHi  *float64   `json:"change_hi,omitempty"`
	P         *float64   `json:"p,omitempty"`
	Adjusted  *float64   `json:"p_adjusted,omitempty"`
	Judged    string     `json:"judged_by,omitempty"`
	Budget    *float64   `json:"budget,omitempty"`
	Smallest  *float64   `json:"smallest_shown,omitempty"`
	Open      bool       `json:"open,omitempty"`
	Muted     string     `json:"muted,omitempty"`
	Doubts    []string   `json:"doubts,omitempty"`
}

func jsonOf(f *Finding) jsonFinding {
	out := jsonFinding{
		Key: f.Key(), Category: string(f.Category), Op: f.Op, Unit: f.Unit, Better: string(f.Better),
		Primary: f.Primary, Duplicate: f.Duplicate, Verdict: string(f.Verdict), Outcome: string(f.Outcome),
		Reason: f.Reason, Forced: f.Forced, Old: jsonSampleOf(f.Old), New: jsonSampleOf(f.New),
		P: finite(f.P), Adjusted: finite(f.Adjusted), Judged: string(f.Judged), Open: f.Open, Doubts: f.Doubts,
	}
	if change, lo, hi, ok := f.Change(); ok {
		out.Change, out.ChangeLo, out.ChangeHi = finite(change), finite(lo), finite(hi)
	}
	if f.Primary {
		out.Budget, out.Smallest = finite(f.Budget), finite(f.Smallest)
	}
	if f.Mute != nil {
		out.Muted = f.Mute.Reason
	}
	return out
}

func jsonSampleOf(s Sample) jsonSample {
	out := jsonSample{Boots: s.Boots, Bad: s.Bad, Skipped: s.Skipped, Status: string(s.Status), Reason: s.Reason}
	if s.Boots > 0 {
		out.Median, out.Lo, out.Hi = finite(s.Median), finite(s.Lo), finite(s.Hi)
	}
	return out
}

// finite returns nil for what JSON has no number for.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// WriteCSV writes one line a metric with a header. Ratios are plain: 0.05 is
// 5 %. Figures that do not exist are empty.
func WriteCSV(w io.Writer, c *Comparison) error {
	cw := csv.NewWriter(w)
	_ = cw.Write([]string{
		"category", "op", "unit", "better", "primary", "old_boots", "old", "old_lo", "old_hi", "new_boots", "new", "new_lo", "new_hi",
		"change", "change_lo", "change_hi", "p", "p_adjusted", "budget", "smallest_shown", "verdict", "outcome", "forced", "reason",
	})
	for _, f := range c.Findings {
		j := jsonOf(f)
		_ = cw.Write([]string{
			j.Category, inert(j.Op), inert(j.Unit), j.Better, strconv.FormatBool(j.Primary),
			strconv.Itoa(j.Old.Boots), decimal(j.Old.Median), decimal(j.Old.Lo), decimal(j.Old.Hi),
			strconv.Itoa(j.New.Boots), decimal(j.New.Median), decimal(j.New.Lo), decimal(j.New.Hi),
			decimal(j.Change), decimal(j.ChangeLo), decimal(j.ChangeHi), decimal(j.P), decimal(j.Adjusted), decimal(j.Budget), decimal(j.Smallest),
			j.Verdict, j.Outcome, strconv.FormatBool(j.Forced), inert(j.Reason),
		})
	}
	cw.Flush()
	return cw.Error()
}

func decimal(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}

// inert keeps a spreadsheet from taking text from outside for a formula.
func inert(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
