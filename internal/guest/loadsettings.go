package guest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

// Loads are the settings of load.
type Loads struct {
	modes map[catalogue.LoadMode]loadMode
	rates []string // of the open loops, as the user wrote them
}

type loadMode struct {
	levels   []int
	duration time.Duration
}

// LoadSettings reads the settings of load from the environment.
func LoadSettings() (Loads, error) {
	l := Loads{modes: make(map[catalogue.LoadMode]loadMode)}
	if text := os.Getenv(catalogue.EnvLoadRate); text != "" {
		for part := range strings.SplitSeq(text, ",") {
			part = strings.TrimSpace(part)
			if v, err := RateOf(part, 100); err != nil || !(v > 0 && v <= 10e6) {
				return l, fmt.Errorf("%s=%q: want requests a second, up to 10 million, or shares of the closed loop, as 50%%,80%%", catalogue.EnvLoadRate, text)
			}
			if !slices.Contains(l.rates, part) {
				l.rates = append(l.rates, part)
			}
		}
	}
	for _, m := range catalogue.LoadModes() {
		levels, err := readLevels(modeSetting(m, catalogue.EnvLoadConcurrency, catalogue.DefaultLoadLevels))
		if err != nil {
			return l, err
		}
		env, text := modeSetting(m, catalogue.EnvLoadSeconds, strconv.Itoa(catalogue.DefaultLoadSeconds))
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || !(seconds >= 0.01 && seconds <= 3600) {
			return l, fmt.Errorf("%s=%q: want seconds, up to 3600", env, text)
		}
		l.modes[m] = loadMode{levels, time.Duration(seconds * float64(time.Second))}
	}
	return l, nil
}

// modeSetting returns the setting of a mode, else the common one, else the
// default, with the name of the variable that has it.
func modeSetting(m catalogue.LoadMode, common, def string) (env, text string) {
	for _, env := range []string{m.Variable(common), common} {
		if text := os.Getenv(env); text != "" {
			return env, text
		}
	}
	return common, def
}

// readLevels reads "1,10,50,200".
func readLevels(env, text string) ([]int, error) {
	var levels []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 || n > 10_000 {
			return nil, fmt.Errorf("%s=%q: want numbers from 1 to 10000 with commas between them", env, text)
		}
		if !slices.Contains(levels, n) { // else it would be one operation
			levels = append(levels, n)
		}
	}
	return levels, nil
}

// RateOf reads the rate of an open loop: requests a second, or a share of what
// a closed loop reached.
func RateOf(text string, capacity float64) (perSecond float64, err error) {
	share, isShare := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(share, 64)
	if isShare {
		v *= capacity / 100
	}
	return v, err
}

// IsShare reports whether a rate is a share of the closed loop's.
func IsShare(rate string) bool { return strings.HasSuffix(rate, "%") }

// Ops are the operations of all modes.
func (l Loads) Ops() []catalogue.Op {
	var ops []catalogue.Op
	for _, m := range catalogue.LoadModes() {
		ops = append(ops, l.OpsOf(m)...)
	}
	return ops
}

// OpsOf are the operations of one mode: for each protocol and level an open
// loop of each rate, and the closed loop unless there are rates that do not
// need it.
func (l Loads) OpsOf(m catalogue.LoadMode) []catalogue.Op {
	rates := l.rates
	if len(rates) == 0 || slices.ContainsFunc(rates, IsShare) {
		rates = append([]string{""}, rates...) // closed
	}
	var ops []catalogue.Op
	for _, protocol := range m.Protocols() {
		for _, n := range l.modes[m].levels {
			for _, rate := range rates {
				ops = append(ops, catalogue.LoadOp(protocol, n, rate))
			}
		}
	}
	return ops
}

// Duration is how long a level of a mode takes.
func (l Loads) Duration(m catalogue.LoadMode) time.Duration { return l.modes[m].duration }
