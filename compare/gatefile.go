package compare

import (
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/capsem/capsem-bench/internal/catalogue"
)

// gateFile is the layout of gate.toml; docs/ci.md describes it.
type gateFile struct {
	Budget      *float64          `toml:"budget"`
	TailBudget  *float64          `toml:"tail_budget"`
	Sensitivity *float64          `toml:"sensitivity"`
	Margin      *float64          `toml:"margin"`
	Required    []string          `toml:"required"`
	Ops         map[string]opFile `toml:"ops"`
	Mute        []muteFile        `toml:"mute"`
}

type opFile struct {
	Budget      *float64 `toml:"budget"`
	Sensitivity *float64 `toml:"sensitivity"`
}

type muteFile struct {
	Op     string `toml:"op"`
	Reason string `toml:"reason"`
	Until  any    `toml:"until"` // a date, written as one or as a string
}

// A gate.toml comes with a pull request, and decoding a dotted key takes time
// and memory that grow with the square of its parts: 20,000 took longer than
// anybody waits. A key stands on one line, so dots are bounded by line.
const (
	maxPolicy     = 64 << 10
	maxPolicyDots = 64
)

// ReadPolicy reads a gate.toml. An unknown key is an error, with file and line:
// a misspelt budget would otherwise be replaced by the default.
func ReadPolicy(r io.Reader, name string) (*Policy, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPolicy+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(data) > maxPolicy {
		return nil, fmt.Errorf("%s: larger than 64 KiB", name)
	}
	p := &policyReader{name: name, lines: strings.Split(string(data), "\n"), policy: DefaultPolicy()}
	p.policy.Name = name
	for i, line := range p.lines {
		if strings.Count(line, ".") > maxPolicyDots {
			return nil, p.errorf(i+1, "more than %d dots in a line", maxPolicyDots)
		}
	}
	var file gateFile
	meta, err := toml.Decode(string(data), &file)
	var syntax toml.ParseError
	switch {
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("%s:%d: %s", name, max(syntax.Position.Line, 1), syntax.Message)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, p.errorf(p.line(unknown[0]...), "unknown key %q; known are budget, tail_budget, sensitivity, margin, required, [ops.\"NAME\"] and [[mute]]", unknown[0].String())
	}
	if err := p.read(file); err != nil {
		return nil, err
	}
	return p.policy, nil
}

type policyReader struct {
	name   string
	lines  []string
	policy *Policy
}

func (p *policyReader) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", p.name, line, fmt.Sprintf(format, args...))
}

func (p *policyReader) read(file gateFile) error {
	pol := p.policy
	for _, v := range []struct {
		key string
		in  *float64
		out *float64
	}{
		{"budget", file.Budget, &pol.Budget},
		{"tail_budget", file.TailBudget, &pol.TailBudget},
		{"sensitivity", file.Sensitivity, &pol.Sensitivity},
		{"margin", file.Margin, &pol.Margin},
	} {
		if err := p.ratio(v.in, v.out, v.key); err != nil {
			return err
		}
	}
	pol.Ops = make(map[string]OpPolicy)
	for name, op := range file.Ops {
		line := p.line("ops", name)
		if err := p.known(name, line); err != nil {
			return err
		}
		var own OpPolicy
		if err := p.ratio(op.Budget, &own.Budget, "ops", name, "budget"); err != nil {
			return err
		}
		if err := p.ratio(op.Sensitivity, &own.Sensitivity, "ops", name, "sensitivity"); err != nil {
			return err
		}
		pol.Ops[name] = own
	}
	for _, name := range file.Required {
		if err := p.known(name, p.line("required")); err != nil {
			return err
		}
	}
	pol.Required = file.Required
	for i, m := range file.Mute {
		if err := p.mute(m, p.table("[[mute]]", i)); err != nil {
			return err
		}
	}
	return nil
}

// ratio takes one number. A budget of 5 is meant as 5 %.
func (p *policyReader) ratio(in, out *float64, key ...string) error {
	switch {
	case in == nil:
		return nil
	case !(*in >= 0 && *in < 1) || *in == 0 && key[len(key)-1] != "margin":
		return p.errorf(p.line(key...), "%s: want a ratio between 0 and 1, such as 0.05 for 5 %%, not %g", key[len(key)-1], *in)
	}
	*out = *in
	return nil
}

func (p *policyReader) mute(m muteFile, line int) error {
	switch {
	case m.Op == "":
		return p.errorf(line, "a mute needs op = \"...\"")
	case strings.TrimSpace(m.Reason) == "":
		return p.errorf(line, "the mute of %s needs reason = \"...\"", m.Op)
	case m.Until == nil:
		return p.errorf(line, "the mute of %s needs until = 2026-12-31, its last day", m.Op)
	}
	if err := p.known(m.Op, line); err != nil {
		return err
	}
	var day time.Time
	switch until := m.Until.(type) {
	case time.Time:
		day = time.Date(until.Year(), until.Month(), until.Day(), 0, 0, 0, 0, time.UTC)
	case string:
		var err error
		if day, err = time.Parse(time.DateOnly, until); err != nil {
			return p.errorf(line, "until: %q is no date such as 2026-12-31", until)
		}
	default:
		return p.errorf(line, "until: %v is no date such as 2026-12-31", until)
	}
	p.policy.Mutes = append(p.policy.Mutes, Mute{Op: m.Op, Reason: m.Reason, Until: day, Line: line})
	return nil
}

// known reports an error for a name that cannot mean any op. A benchmark
// outside the catalogue is named as it is printed, with its capital.
func (p *policyReader) known(name string, line int) error {
	if _, err := path.Match(name, ""); err != nil {
		return p.errorf(line, "%q is no pattern: a [ is not closed", name)
	}
	if name != "" && name[0] >= 'A' && name[0] <= 'Z' {
		return nil
	}
	var ids []string
	for _, op := range catalogue.Ops(catalogue.Settings{}) {
		for _, unit := range op.Units {
			if matches(name, &Finding{Op: op.ID, Category: op.Category, Unit: unit}) {
				return nil
			}
		}
		ids = append(ids, op.ID)
	}
	return p.errorf(line, "unknown op %q; want one such as %s, a category, or a pattern such as \"snapshot/*/create\"", name, strings.Join(ids[:3], ", "))
}

var tableHeader = regexp.MustCompile(`^\s*\[\[?\s*(.*?)\s*\]\]?\s*(#.*)?$`)

// line finds where a key is written; 1 where it is not found, as in a table
// of one line.
func (p *policyReader) line(key ...string) int {
	bare := func(s string) string { return strings.NewReplacer(`"`, "", `'`, "", " ", "").Replace(s) }
	want := bare(strings.Join(key, "."))
	table, best := "", 1
	for i, l := range p.lines {
		if m := tableHeader.FindStringSubmatch(l); m != nil {
			if table = bare(m[1]); table == want {
				return i + 1
			}
			continue
		}
		name, _, ok := strings.Cut(l, "=")
		full := bare(name)
		if table != "" {
			full = table + "." + full
		}
		switch {
		case !ok || strings.HasPrefix(strings.TrimSpace(l), "#"):
		case full == want:
			return i + 1
		case strings.HasPrefix(want, full+"."):
			best = i + 1
		}
	}
	return best
}

// table finds the nth header of an array of tables.
func (p *policyReader) table(header string, n int) int {
	var at []int
	for i, l := range p.lines {
		if strings.HasPrefix(strings.ReplaceAll(l, " ", ""), header) {
			at = append(at, i+1)
		}
	}
	if n < len(at) {
		return at[n]
	}
	return max(1, slices.Index(p.lines, header)+1)
}
