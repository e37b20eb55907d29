package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// doctor is the command that says what disturbs a machine.
const doctor = "capsem-bench doctor"

// interleave is what to do with boots in the wrong order: the command that
// measures both builds in turn. Without a trial nobody knows what they are.
func (g *gate) interleave() {
	if g.c.trial != "" {
		g.command(g.c.trial)
		return
	}
	g.unknown("capsem-bench ab --base OLD --cand NEW", "NEW")
}

// unknown plans a command with OLD for a build that nobody knows, and another
// word for the new one.
func (g *gate) unknown(command, cand string) {
	g.command(command)
	where := fmt.Sprintf("OLD is the build of %s", g.c.Base)
	if cand == "NEW" {
		where += fmt.Sprintf(", NEW that of %s", g.c.Cand)
	} else {
		where += fmt.Sprintf(", %s the new one when it is mended", cand)
	}
	g.d.Where = where
}

// more asks for so many boots a side.
func (g *gate) more(boots int) {
	looks := ""
	if usual := DefaultPlan(); boots > usual.Last() {
		usual.Looks[len(usual.Looks)-1] = boots
		looks = " --looks " + strings.Trim(strings.ReplaceAll(fmt.Sprint(usual.Looks), " ", ","), "[]")
	}
	switch {
	case g.c.resume != "":
		g.command(g.c.resume) // it has not measured all that it planned
	default:
		g.unknown("capsem-bench ab --base OLD --cand NEW"+looks, "NEW")
	}
	if g.c.Method == MaxTs {
		g.plan("or, if there can be no more boots, gate --no-more, which tests these with less power")
	}
}

// quieter is what to do where a slowdown would likely be missed.
func (g *gate) quieter() {
	g.command(doctor)
	g.interleave()
	var smallest []float64
	for _, f := range g.c.Judged() {
		if f.op != nil && f.Mute == nil {
			smallest = append(smallest, f.Smallest)
		}
	}
	slices.Sort(smallest)
	allowed := int(mostInsensitive * float64(len(smallest)))
	if least := math.Ceil(20*smallest[len(smallest)-1-allowed]) / 20; least < 1 {
		g.plan("or accept to find less, with sensitivity = %.2f in gate.toml", least)
	}
}

// mend is what to do after a block: measure the build that mends it, in the
// categories that block.
func (g *gate) mend() {
	const cand = "FIXED"
	var categories []string
	whole := slices.ContainsFunc(g.d.Movements, func(m Movement) bool { return m.Category == "" })
	add := func(name string) {
		if !whole && name != "" && !slices.Contains(categories, name) {
			categories = append(categories, name)
		}
	}
	for _, m := range g.d.Movements {
		add(string(m.Category))
	}
	for _, f := range g.d.Regressions {
		add(string(f.Category))
	}
	command := "capsem-bench ab --base OLD --cand " + cand
	if g.c.mended != "" {
		command = g.c.mended
	}
	command = strings.Join(append([]string{command}, categories...), " ")
	if g.c.mended != "" {
		g.command(command)
		if strings.Contains(command, " --cand "+cand+" ") {
			g.d.Where = cand + " is the new build when it is mended"
		}
		return
	}
	g.unknown(command, cand)
}
