package ab

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/record"
)

// A Repeat is a pair that was measured again, and why.
type Repeat = compare.Repeat

// repeatsName lists the repeats. It is written before the texts of a pair go
// to the directory of repeats.
const (
	repeatsName = "repeats.json"
	repeatsDir  = "repeated"
)

// state is how far a trial is, by its files.
type state struct {
	dir     string
	plan    *Plan
	repeats []Repeat
	boots   map[int]string // slot -> file
}

// slotOf returns the places of a pair (from 0) in the order of all boots.
func slotOf(pair, which int) int { return 2*pair + which + 1 }

func bootName(dir, side string, slot int) string {
	return filepath.Join(dir, side, record.BootFile(slot))
}

// makeDirs makes the directories of a trial's texts.
func makeDirs(dir string) error {
	for _, sub := range []string{Base, Cand, repeatsDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// load reads the state and holds every file to the plan.
func load(dir string, plan *Plan) (*state, error) {
	s := &state{dir: dir, plan: plan, boots: make(map[int]string)}
	err := makeDirs(dir)
	if err != nil {
		return nil, err
	}
	if s.repeats, err = ReadRepeats(dir); err != nil {
		return nil, err
	}
	for _, side := range []string{Base, Cand} {
		names, err := filepath.Glob(filepath.Join(dir, side, "*.txt"))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if err := s.take(name, side); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// ReadRepeats returns the pairs that the trial in dir measured again.
func ReadRepeats(dir string) ([]Repeat, error) {
	name := filepath.Join(dir, repeatsName)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Repeat
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

// take enters one file.
func (s *state) take(name, side string) error {
	boot, err := readBoot(name)
	if err != nil {
		return foreign(name, err)
	}
	pair := (boot.Slot - 1) / 2
	switch {
	case boot.Slot < 1 || pair >= s.plan.Looks[len(s.plan.Looks)-1]:
		err = fmt.Errorf("slot %d is not in the plan", boot.Slot)
	case boot.Seed != s.plan.Seed:
		err = fmt.Errorf("its seed is %d, the plan's %d", boot.Seed, s.plan.Seed)
	case boot.Side != side || s.plan.Order(pair)[(boot.Slot-1)%2] != side:
		err = fmt.Errorf("boot %d is the %s side's by the plan, and says %s", boot.Slot, s.plan.Order(pair)[(boot.Slot-1)%2], boot.Side)
	case boot.Stage != s.stageOf(pair):
		err = fmt.Errorf("boot %d is of stage %d by the plan, and says %d", boot.Slot, s.stageOf(pair), boot.Stage)
	}
	if other := s.boots[boot.Slot]; err == nil && other != "" {
		err = fmt.Errorf("boot %d is in %s too", boot.Slot, other)
	}
	if err != nil {
		return foreign(name, err)
	}
	s.boots[boot.Slot] = name
	return nil
}

// ErrForeign is returned for a text that is no boot of the trial.
var ErrForeign = errors.New("it is no boot of this trial; move it away")

func foreign(name string, err error) error { return fmt.Errorf("%s: %w: %w", name, err, ErrForeign) }

// readBoot reads the host's boot line, the first of a file.
func readBoot(name string) (*record.Boot, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, record.MaxLine)
	if !lines.Scan() {
		return nil, errors.Join(errors.New("no boot line"), lines.Err())
	}
	v, err := record.Parse(lines.Bytes())
	if err != nil {
		return nil, err
	}
	boot, ok := v.(*record.Boot)
	if !ok {
		return nil, errors.New("the first line is no boot line")
	}
	return boot, nil
}

// stageOf returns the stage of a pair, from 1.
func (s *state) stageOf(pair int) int {
	i := slices.IndexFunc(s.plan.Looks, func(k int) bool { return pair < k })
	return i + 1
}

// whole reports whether both boots of a pair are there.
func (s *state) whole(pair int) bool {
	return s.boots[slotOf(pair, 0)] != "" && s.boots[slotOf(pair, 1)] != ""
}

// files returns the texts of a side up to a pair, in order.
func (s *state) files(side string, pairs int) []string {
	var out []string
	for pair := range pairs {
		for which, at := range s.plan.Order(pair) {
			if name := s.boots[slotOf(pair, which)]; at == side && name != "" {
				out = append(out, name)
			}
		}
	}
	return out
}

// spent returns how many pairs were repeated in a stage, interruptions not
// counted: those are nobody's fault.
func (s *state) spent(stage int) int {
	n := 0
	for _, r := range s.repeats {
		if r.Stage == stage && r.Cause != compare.Interrupted {
			n++
		}
	}
	return n
}

// setAside notes that a pair is to be measured again and moves its texts
// away.
func (s *state) setAside(pair int, r Repeat) error {
	r.Pair, r.Stage = pair+1, s.stageOf(pair)
	s.repeats = append(s.repeats, r)
	text, err := json.MarshalIndent(s.repeats, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(s.dir, repeatsName), append(text, '\n')); err != nil {
		return err
	}
	for which := range 2 {
		slot := slotOf(pair, which)
		name := s.boots[slot]
		if name == "" {
			continue
		}
		if err := os.Rename(name, s.aside(s.plan.Order(pair)[which], slot)); err != nil {
			return err
		}
		delete(s.boots, slot)
	}
	return nil
}

// aside returns a free name for the text of a boot that does not count.
func (s *state) aside(side string, slot int) string {
	for n := 1; ; n++ {
		name := filepath.Join(s.dir, repeatsDir, strings.TrimSuffix(record.BootFile(slot), ".txt")+fmt.Sprintf("-%s-%d.txt", side, n))
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name
		}
	}
}

// keepAside writes the text of a boot that does not count.
func (s *state) keepAside(b Boot, head []any, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	return writeText(s.aside(b.Side, b.Slot), head, text)
}

// keep writes the text of a boot that counts.
func (s *state) keep(side string, slot int, head []any, text []byte) error {
	name := bootName(s.dir, side, slot)
	if err := writeText(name, head, text); err != nil {
		return err
	}
	s.boots[slot] = name
	return nil
}

// writeText writes a boot's text under its lines of the host. The text is what
// 'run' kept, whose own head ends with the guest line; one that has none, of a
// build from before there was that line, is a guest's word from its first line.
func writeText(name string, head []any, text []byte) error {
	var out bytes.Buffer
	for _, v := range head {
		line, err := record.Append(nil, v)
		if err != nil {
			return err
		}
		out.Write(line)
	}
	if !hasGuestLine(text) {
		out.WriteString(record.GuestLine)
	}
	out.Write(text)
	return atomicfile.Write(name, out.Bytes())
}

// hasGuestLine reports a text that begins as 'run' begins it: with the clock
// line of a guest that has one, and the guest line.
func hasGuestLine(text []byte) bool {
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	if v, err := record.Parse(first); err == nil {
		if _, ok := v.(*record.Clock); ok {
			text = rest
		}
	}
	return bytes.HasPrefix(text, []byte(record.GuestLine))
}
