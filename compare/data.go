package compare

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"strconv"

	"github.com/capsem/capsem-bench/internal/termtext"
)

// SchemaJSON names the layout of WriteJSON.
const SchemaJSON = "capsem-bench.compare/1"

// WriteJSON writes the comparison with every metric, and the decision when
// there is one. Ratios are plain: 0.05 is 5 %. Figures that do not exist are
// left out.
func WriteJSON(w io.Writer, c *Comparison, d *Decision) error {
	doc := jsonDoc{
		Schema: SchemaJSON, Headline: c.Headline(d),
		Base: jsonSide{c.Base, c.BaseBoots}, Cand: jsonSide{c.Cand, c.CandBoots},
		Order: string(c.Order.Interleaving), OrderReason: c.Order.Reason,
		Differences: []jsonDifference{}, Doubts: c.Doubts, Notes: c.Notes, Forced: c.Forced,
		Metrics: c.Ops, Method: string(c.Method), Looked: c.Looked, Looks: c.Looks, Stopped: c.Stopped, Open: []string{},
		Categories: jsonCategories(c.Categories()), Findings: []jsonFinding{}, Repeats: c.Repeats,
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
	if m := c.Common; m != nil {
		doc.Common = &jsonCommon{m.Slower, m.Moved, m.Ops, m.Median, m.String() + ": " + c.cause()}
	}
	for _, m := range c.Movements {
		doc.Movements = append(doc.Movements, jsonMovement{string(m.Category), m.Slower, math.Expm1(m.Shift), math.Expm1(m.Lo), math.Expm1(m.Hi), m.P, m.Ops, m.Sentence()})
	}
	for _, f := range c.Findings {
		doc.Findings = append(doc.Findings, jsonOf(f))
	}
	if d != nil {
		doc.Gate = &jsonGate{int(d.Status), d.Answer(), []string{}, d.Reasons, d.Remarks, d.Plan, d.Where}
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
	Headline     string           `json:"headline"`
	Gate         *jsonGate        `json:"gate,omitempty"`
	Base         jsonSide         `json:"old"`
	Cand         jsonSide         `json:"new"`
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
	Common       *jsonCommon      `json:"movement,omitempty"`
	Movements    []jsonMovement   `json:"movements,omitempty"`
	Categories   []jsonCategory   `json:"categories,omitempty"`
	Stopped      bool             `json:"stopped_early,omitempty"`
	Repeats      []Repeat         `json:"repeated_pairs,omitempty"`
	Findings     []jsonFinding    `json:"findings"`
}

type jsonGate struct {
	Status      int      `json:"status"`
	Answer      string   `json:"answer"`
	Regressions []string `json:"regressions"`
	Reasons     []string `json:"reasons,omitempty"`
	Remarks     []string `json:"remarks,omitempty"`
	Plan        []string `json:"plan,omitempty"`
	Where       string   `json:"where,omitempty"`
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
	Category string  `json:"category"` // "" is everything
	Slower   bool    `json:"slower"`
	Change   float64 `json:"slowdown"`
	Lo       float64 `json:"slowdown_lo"`
	Hi       float64 `json:"slowdown_hi"`
	P        float64 `json:"p_adjusted"`
	Metrics  int     `json:"metrics"`
	Text     string  `json:"text"`
}

type jsonCommon struct {
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
	Base      jsonSample `json:"old"`
	Cand      jsonSample `json:"new"`
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
		Reason: f.Reason, Forced: f.Forced, Base: jsonSampleOf(f.Base), Cand: jsonSampleOf(f.Cand),
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

// What the lines of movements and of the gate have for a category and an op.
const (
	everythingCSV = "everything"
	wholeCSV      = "as a whole"
	gateCSV       = "gate"
	nextCSV       = "next"
)

func csvHeader() []string {
	return []string{
		"category", "op", "unit", "better", "primary", "old_boots", "old", "old_lo", "old_hi", "new_boots", "new", "new_lo", "new_hi",
		"change", "change_lo", "change_hi", "p", "p_adjusted", "budget", "smallest_shown", "verdict", "outcome", "forced", "reason",
	}
}

// WriteCSV writes one line a metric with a header, then one for each movement
// of a category or of everything, whose change is a slowdown, then the gate's
// answer with its reason, and what to do next, where there is a decision. Ratios
// are plain: 0.05 is 5 %. Figures that do not exist are empty.
func WriteCSV(w io.Writer, c *Comparison, d *Decision) error {
	cw := csv.NewWriter(w)
	_ = cw.Write(csvHeader())
	for _, f := range c.Findings {
		j := jsonOf(f)
		_ = cw.Write([]string{
			j.Category, termtext.Spreadsheet(j.Op), termtext.Spreadsheet(j.Unit), j.Better, strconv.FormatBool(j.Primary),
			strconv.Itoa(j.Base.Boots), decimal(j.Base.Median), decimal(j.Base.Lo), decimal(j.Base.Hi),
			strconv.Itoa(j.Cand.Boots), decimal(j.Cand.Median), decimal(j.Cand.Lo), decimal(j.Cand.Hi),
			decimal(j.Change), decimal(j.ChangeLo), decimal(j.ChangeHi), decimal(j.P), decimal(j.Adjusted), decimal(j.Budget), decimal(j.Smallest),
			j.Verdict, j.Outcome, strconv.FormatBool(j.Forced), termtext.Spreadsheet(j.Reason),
		})
	}
	for _, m := range c.Movements {
		category, verdict := string(m.Category), Faster
		if category == "" {
			category = everythingCSV
		}
		if m.Slower {
			verdict = Slower
		}
		values := map[string]string{
			"category": category, "op": wholeCSV, "unit": "ratio", "better": "lower", "primary": "false", "forced": "false",
			"change": decimal(finite(math.Expm1(m.Shift))), "change_lo": decimal(finite(math.Expm1(m.Lo))), "change_hi": decimal(finite(math.Expm1(m.Hi))),
			"p_adjusted": decimal(finite(m.P)), "verdict": string(verdict),
		}
		_ = cw.Write(csvRow(values))
	}
	if d != nil {
		_ = cw.Write(csvRow(map[string]string{"category": everythingCSV, "op": gateCSV, "verdict": d.Answer(), "reason": termtext.Spreadsheet(c.Headline(d))}))
		for _, step := range d.Plan {
			_ = cw.Write(csvRow(map[string]string{"category": everythingCSV, "op": nextCSV, "reason": termtext.Spreadsheet(step)}))
		}
	}
	cw.Flush()
	return cw.Error()
}

func csvRow(values map[string]string) []string {
	var row []string
	for _, name := range csvHeader() {
		row = append(row, values[name])
	}
	return row
}

func decimal(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}
