package ab

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/digest"
	"github.com/capsem/capsem-bench/internal/record"
)

// A MissingError says which shards a look waits for.
type MissingError struct {
	Stage   Stage
	Missing []int // numbers of shards
	Have    int   // shards of the stage that are there
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("stage %d: %d of %d shards are missing", e.Stage.Number, len(e.Missing), len(e.Missing)+e.Have)
}

// Gathered is the shards that are there, by number.
type Gathered map[int]*gathered

type gathered struct {
	*ShardReport
	dir  string // "" is the first directory
	sums string // digest of all its files
}

// Gather returns the shards of the plan in the directories. Of a shard that
// is there more than once the one that began first counts, whatever the order of
// the directories is.
func Gather(plan *Plan, dirs ...string) (Gathered, error) {
	want, err := digest.File(filepath.Join(dirs[0], PlanName))
	if err != nil {
		return nil, err
	}
	out := make(Gathered)
	for _, dir := range dirs {
		names, err := filepath.Glob(filepath.Join(dir, ShardsDir, "[0-9]*", shardName))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			g, err := readShard(filepath.Dir(name))
			switch {
			case err != nil:
				return nil, err
			case g.Plan != want:
				return nil, fmt.Errorf("%s: it is of another plan than %s; %w", g.dir, dirs[0], ErrForeign)
			case g.Shard < 1 || g.Shard > len(plan.Shards()) || plan.Shards()[g.Shard-1].Stage != g.Stage:
				return nil, fmt.Errorf("%s: the plan has no shard %d in stage %d; %w", g.dir, g.Shard, g.Stage, ErrForeign)
			}
			if there := out[g.Shard]; there == nil || g.before(there) {
				out[g.Shard] = g
			}
		}
	}
	return out, nil
}

func (g *gathered) before(other *gathered) bool {
	return cmp.Or(cmp.Compare(g.Began, other.Began), strings.Compare(g.sums, other.sums)) < 0
}

// readShard reads a shard's directory and holds its files to its report.
func readShard(dir string) (*gathered, error) {
	r, err := readReport(dir)
	if err != nil {
		return nil, err
	}
	g := &gathered{ShardReport: r, dir: dir}
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return nil, fmt.Errorf("%s: %q is no file of a shard", filepath.Join(dir, shardName), name)
		}
		sum, err := digest.File(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return nil, fmt.Errorf("%s: not whole: %w", dir, err)
		}
		if sum != r.Files[name] {
			return nil, fmt.Errorf("%s: %s is not what the shard measured", dir, name)
		}
		g.sums += sum
	}
	return g, nil
}

// merge brings the texts and repeats of a stage's shards into dir, as a trial on
// one machine has them. What is there of these pairs is replaced: what a
// directory says follows from its shards.
func (g Gathered) merge(plan *Plan, dir string, s Stage) error {
	missing := &MissingError{Stage: s}
	shards := plan.ShardsOf(s.Number)
	for _, shard := range shards {
		if g[shard.Number] == nil {
			missing.Missing = append(missing.Missing, shard.Number)
		}
	}
	if missing.Have = len(shards) - len(missing.Missing); len(missing.Missing) > 0 {
		return missing
	}
	repeats, err := ReadRepeats(dir)
	if err != nil {
		return err
	}
	repeats = slices.DeleteFunc(repeats, func(r Repeat) bool { return r.Stage == s.Number })
	if err := makeDirs(dir); err != nil {
		return err
	}
	for _, shard := range shards {
		from := g[shard.Number]
		if err := from.copyTexts(plan, shard, dir); err != nil {
			return err
		}
		own, err := ReadRepeats(from.dir)
		if err != nil {
			return err
		}
		repeats = append(repeats, own...)
	}
	if len(repeats) == 0 {
		return nil
	}
	slices.SortStableFunc(repeats, func(a, b Repeat) int { return cmp.Compare(a.Pair, b.Pair) })
	text, err := json.MarshalIndent(repeats, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, repeatsName), append(text, '\n'))
}

// copyTexts copies the texts of a shard's pairs, and those that it set aside.
func (g *gathered) copyTexts(plan *Plan, shard Shard, dir string) error {
	for pair := shard.From; pair < shard.To; pair++ {
		for which, side := range plan.Order(pair) {
			slot := slotOf(pair, which)
			if err := copyText(filepath.Join(g.dir, side, record.BootFile(slot)), bootName(dir, side, slot)); err != nil {
				return fmt.Errorf("shard %d: %w", g.Shard, err)
			}
		}
	}
	for name := range g.Files {
		if base, ok := strings.CutPrefix(name, repeatsDir+"/"); ok {
			if err := copyText(filepath.Join(g.dir, repeatsDir, base), filepath.Join(dir, repeatsDir, base)); err != nil {
				return err
			}
		}
	}
	return nil
}

func copyText(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return replaceFile(to, text)
}

// replaceFile writes a file that does not have that text yet.
func replaceFile(name string, text []byte) error {
	if old, err := os.ReadFile(name); err == nil && string(old) == string(text) {
		return nil
	}
	return atomicfile.Write(name, text)
}

// Judge judges the shards that are there in the directories: cfg.Dir, which gets
// the texts, and others that have the same plan. It returns a *MissingError
// where a look needs shards that are not there, and its Stage says what they
// measure; that is kept in cfg.Dir for them.
func Judge(ctx context.Context, cfg Config, others ...string) (*Result, error) {
	g, err := Gather(&cfg.Plan, append([]string{cfg.Dir}, others...)...)
	if err != nil {
		return nil, err
	}
	if err := g.adopt(cfg.Dir); err != nil {
		return nil, err
	}
	cfg.Elsewhere = func(_ context.Context, s Stage) error { return g.merge(&cfg.Plan, cfg.Dir, s) }
	return Run(ctx, cfg)
}

// adopt copies the shards of other directories into dir, so that it can be judged
// without them. A shard there that does not count goes to FailedDir.
func (g Gathered) adopt(dir string) error {
	for n, from := range g {
		to := filepath.Join(dir, ShardsDir, strconv.Itoa(n))
		if from.dir == to {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		work, err := os.MkdirTemp(filepath.Dir(to), "."+strconv.Itoa(n)+"-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(work)
		if err := errors.Join(os.Chmod(work, 0o755), os.CopyFS(work, os.DirFS(from.dir))); err != nil {
			return err
		}
		if isTaken(to) {
			if err := moveAside(to, dir, n); err != nil {
				return err
			}
		}
		if err := os.Rename(work, to); err != nil {
			return err
		}
		from.dir = to
	}
	return nil
}

// MergeStage brings the shards of a stage in dir, which are all there, into the
// directories of both sides.
func MergeStage(plan *Plan, dir string, s Stage) error {
	g, err := Gather(plan, dir)
	if err != nil {
		return err
	}
	return g.merge(plan, dir, s)
}

// Have reports whether a shard is whole in dir.
func Have(dir string, shard int) bool {
	_, err := os.Stat(filepath.Join(dir, ShardsDir, strconv.Itoa(shard), shardName))
	return err == nil
}
